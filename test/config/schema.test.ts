// The JSON Schema that editors get from `dirmfa config schema`.

import { Ajv } from "ajv";
import { expect, test } from "vitest";
import { configSchema } from "../../src/config/schema.ts";
import { listSchemaKeys } from "../../src/config/schema-keys.ts";

// As editors get it: through JSON.
const schema: object = JSON.parse(JSON.stringify(configSchema));

test("it is a JSON Schema that others can read", () => {
  const ajv = new Ajv({ strict: false, logger: false });
  expect(ajv.validateSchema(schema)).toBe(true);
  expect(ajv.validate(schema, { directories: [{ name: "a", urls: ["ldap://a"] }] })).toBe(false);
  expect(ajv.validate(schema, { log: { level: "info" } })).toBe(true);
});

test("every key is described in a sentence", () => {
  const undescribed = listSchemaKeys(configSchema).filter(
    (key) => !/^[A-Z`].{10,}\.$/.test(String(key.schema.description)),
  );
  expect(undescribed.map((key) => `${key.path}: ${key.schema.description}`)).toEqual([]);
});

test("every default is one that may be written", () => {
  const ajv = new Ajv({ strict: false, logger: false });
  const wrong = listSchemaKeys(configSchema)
    .filter((key) => key.schema.default !== undefined && key.schema.type !== "object")
    .filter((key) => !ajv.validate(key.schema, key.schema.default));
  expect(wrong.map((key) => key.path)).toEqual([]);
});
