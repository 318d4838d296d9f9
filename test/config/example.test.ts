// config/example.yaml is what an admin starts from: it works as it stands, has every key, and tells the defaults truly.

import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse as parseYamlText } from "yaml";
import { loadConfig } from "../../src/config/load-config.ts";
import { parseConfig } from "../../src/config/parse-config.ts";
import { configSchema } from "../../src/config/schema.ts";
import { listSchemaKeys, type SchemaKey } from "../../src/config/schema-keys.ts";

const file = new URL("../../config/example.yaml", import.meta.url);
const text = await readFile(file, "utf8");
// `#key: value` is a key without a default; `# words` is a comment.
const withEveryKey = text.replaceAll(/^( *)#(?=[a-zA-Z]+:)/gm, "$1");

/** The value that the example has for a key, in the first item of every list on the way. */
function valueIn(tree: unknown, key: SchemaKey): unknown {
  return key.path.split(".").reduce<unknown>((parent, step) => {
    const value: unknown = Reflect.get(Object(parent), step.replace("[]", ""));
    return step.endsWith("[]") && Array.isArray(value) ? value[0] : value;
  }, tree);
}

test("it loads as it stands, once the password is there", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-example-"));
  try {
    await cp(file, join(folder, "dirmfa.yaml"));
    await mkdir(join(folder, "secrets"));
    await writeFile(join(folder, "secrets/example-bind-password"), "hunter2\n", { mode: 0o600 });
    const config = await loadConfig(join(folder, "dirmfa.yaml"), {});
    expect(config.warnings).toEqual([]);
    expect(config.directories).toHaveLength(1);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("every key of the schema is in it", () => {
  const tree: unknown = parseYamlText(withEveryKey);
  const missing = listSchemaKeys(configSchema).filter((key) => valueIn(tree, key) === undefined);
  expect(missing.map((key) => key.path)).toEqual([]);
});

test("with every key taken in, only the ways to give one thing contradict each other", () => {
  const env = { DATABASE_PASSWORD: "x", EXAMPLE_BIND_PASSWORD: "x" };
  const { problems } = parseConfig({ text: withEveryKey, path: "/etc/dirmfa.yaml", env });
  expect(problems.map((problem) => problem.what.replace(/:.*/, ""))).toEqual([
    "database.embedded",
    "database.urlFile",
    "directories[0].bind.passwordFile",
  ]);
});

test("the defaults written in it are the schema's", () => {
  const tree: unknown = parseYamlText(withEveryKey);
  const isSection = ({ schema }: SchemaKey) => schema.type === "object" || listSchemaKeys(schema).length > 0;
  const told = listSchemaKeys(configSchema)
    // An example of the rule, in a section that as a whole is not the default.
    .filter((key) => key.path !== "directories[].users.disabled.values")
    .filter((key) => "default" in key.schema && !isSection(key));
  expect(told.map((key) => [key.path, valueIn(tree, key)])).toEqual(
    told.map((key) => [key.path, key.schema.default]),
  );
});

test("a key with a default is written, not commented out", () => {
  const tree: unknown = parseYamlText(text);
  const hidden = listSchemaKeys(configSchema)
    // Sections without a default of their own, or with nothing but such keys, are commented out with what is in them.
    .filter(
      (key) =>
        "default" in key.schema &&
        !/\.(groups|disabled|attributes)\b|^notices\.mail\.|^audit\.stream\./.test(key.path),
    )
    .filter((key) => valueIn(tree, key) === undefined);
  expect(hidden.map((key) => key.path)).toEqual([]);
});
