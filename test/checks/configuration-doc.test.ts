// docs/configuration.md tells the truth: its tables are those of the schema, and its examples are sound.

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { withTables } from "../../scripts/configuration-tables.ts";
import { parseConfig } from "../../src/config/parse-config.ts";

const page = await readFile(new URL("../../docs/configuration.md", import.meta.url), "utf8");
const examples = [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = ""]) => text);

test("the tables are those that the schema gives; else run node scripts/configuration-tables.ts", () => {
  expect(page).toBe(withTables(page));
});

test("there is an example for every directory service named", () => {
  expect(examples.filter((text) => text.startsWith("directories:\n"))).toHaveLength(4);
});

test.each(examples)("an example is sound:\n%s", (text) => {
  // An example of the mfa section alone has no directories to have groups.
  const isPart = text.startsWith("mfa:");
  const { problems } = parseConfig({ text, path: "/etc/dirmfa/dirmfa.yaml", env: {} });
  expect(problems.filter(({ what }) => !(isPart && what.startsWith("mfa.requireForGroups")))).toEqual([]);
});
