// Which database URLs are warned of: everything that lets others on the network read along, however it is written.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { databaseUrlWarning } from "../../src/config/database-url.ts";
import { loadConfig } from "../../src/config/load-config.ts";

test.each([
  ["postgres://db.example.org/d", "without TLS"],
  ["postgres://db.example.org/d?sslmode=disable", "without TLS"],
  ["postgres://localhost/d?host=db.example.org", "without TLS"],
  ["postgres:///d?host=10.0.0.1", "without TLS"],
  ["postgres://db.example.org/d?sslmode=no-verify", "certificate"],
  ["postgres://db.example.org/d?uselibpqcompat=true&sslmode=require", "certificate"],
])("%s is warned of", (url, word) => {
  expect(databaseUrlWarning(url)).toContain(word);
});

test.each([
  "postgres://localhost/d",
  "postgres://[::1]/d",
  "postgres:///d?host=/run/postgresql",
  "postgres://%2Frun%2Fpostgresql/d",
  "postgres://db.example.org/d?host=127.0.0.1",
  "postgres://db.example.org/d?sslmode=verify-full",
  "postgres://db.example.org/d?ssl=true",
])("%s is not", (url) => {
  expect(databaseUrlWarning(url)).toBeUndefined();
});

test("a URL in a file gets the warning that one in the configuration gets, and neither shows it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-url-"));
  const url = "postgres://dirmfa:pa55word@db.example.org/dirmfa?sslmode=no-verify";
  await writeFile(join(folder, "url"), `${url}\n`, { mode: 0o600 });
  const warningsOf = async (database: object) => {
    await writeFile(join(folder, "dirmfa.yaml"), JSON.stringify({ database, directories: [] }), {
      mode: 0o600,
    });
    return (await loadConfig(join(folder, "dirmfa.yaml"), { URL: url })).warnings.join("\n");
  };
  const inFile = await warningsOf({ urlFile: "url" });
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference to the environment
  const inConfiguration = await warningsOf({ url: "${URL}" });
  await rm(folder, { recursive: true });
  for (const warnings of [inFile, inConfiguration]) {
    expect(warnings).toContain("TLS without a look at the server's certificate");
    expect(warnings).not.toContain("pa55word");
  }
});
