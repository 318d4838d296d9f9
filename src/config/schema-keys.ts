// Walks the schema: every key with its path, for suggestions, for the documentation and for the test of the example.

import type { TSchema } from "typebox";

export interface SchemaKey {
  /** `directories[].bind.dn`: a list is entered through `[]`. */
  path: string;
  name: string;
  schema: Readonly<Record<string, unknown>>;
  required: boolean;
}

/** Every key under `schema`, parents before their children, in the schema's order. */
export function listSchemaKeys(schema: TSchema, prefix = ""): SchemaKey[] {
  const node = recordOf(schema);
  const required = Array.isArray(node.required) ? node.required : [];
  const own = Object.entries(recordOf(node.properties)).flatMap(([name, child]) => {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const key = { path, name, schema: recordOf(child), required: required.includes(name) };
    return [key, ...listSchemaKeys(recordOf(child), path)];
  });
  const inItems = node.items === undefined ? [] : listSchemaKeys(recordOf(node.items), `${prefix}[]`);
  const forms = Array.isArray(node.anyOf) ? node.anyOf : [];
  return [...own, ...inItems, ...forms.flatMap((form) => listSchemaKeys(recordOf(form), prefix))];
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
