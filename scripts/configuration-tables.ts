// Writes the tables of docs/configuration.md from the schema and from the defaults by kind. Run it after changing either:
// `node scripts/configuration-tables.ts`. A check fails while the page is behind.

import { readFile, writeFile } from "node:fs/promises";
import { configSchema } from "../src/config/schema.ts";
import { listSchemaKeys, type SchemaKey } from "../src/config/schema-keys.ts";
import { kindDefaults } from "../src/directory/kinds.ts";

const page = new URL("../docs/configuration.md", import.meta.url);

/** The page with fresh tables between its markers. */
export function withTables(text: string): string {
  return replaceBetween(replaceBetween(text, "keys", keyTables()), "kinds", kindTable());
}

function replaceBetween(text: string, name: string, content: string): string {
  const [before, rest] = text.split(`<!-- ${name}: generated -->\n`);
  const after = rest?.split(`<!-- ${name}: end -->\n`)[1];
  if (before === undefined || after === undefined) throw new Error(`the page has no markers for ${name}`);
  return `${before}<!-- ${name}: generated -->\n\n${content}\n<!-- ${name}: end -->\n${after}`;
}

/** One table for each section of the file. */
function keyTables(): string {
  const keys = listSchemaKeys(configSchema);
  const sections = keys.filter((key) => !key.path.includes("."));
  return sections
    .map((section) => {
      const rows = keys.filter(
        (key) => key.path.startsWith(`${section.path}.`) || key.path.startsWith(`${section.path}[]`),
      );
      const head = "| key | value | default | meaning |\n| --- | --- | --- | --- |\n";
      return `### ${section.name}\n\n${section.schema.description}\n\n${head}${rows.map(keyRow).join("")}`;
    })
    .join("\n");
}

function keyRow(key: SchemaKey): string {
  return `| \`${key.path}\` | ${valueWanted(key.schema)} | ${defaultOf(key)} | ${cell(key.schema.description)} |\n`;
}

function valueWanted(schema: SchemaKey["schema"]): string {
  if (schema.type === "object") return "section";
  if (schema.anyOf !== undefined) return "section, or `anonymous`";
  if (schema.type === "array") return "list";
  if (schema.type === "boolean") return "`true`, `false`";
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => `\`${value}\``).join(", ");
  if (Array.isArray(schema.durationRange)) return `\`${schema.durationRange.join("` to `")}\``;
  if (schema.minimum !== undefined) return `${schema.minimum} to ${schema.maximum}`;
  return schema.wanted === undefined ? "text" : cell(schema.wanted);
}

function defaultOf({ schema, required }: SchemaKey): string {
  if (required) return "required";
  if (!("default" in schema) || schema.type === "object") return "–";
  return `\`${typeof schema.default === "string" ? schema.default : JSON.stringify(schema.default)}\``;
}

function kindTable(): string {
  const kinds = Object.entries(kindDefaults);
  const rows = {
    "users.filter": kinds.map(([, kind]) => kind.userFilter),
    "users.attributes.id": kinds.map(([, kind]) => kind.idAttribute),
    "users.attributes.username": kinds.map(([, kind]) => kind.usernameAttribute),
    "users.attributes.displayName": kinds.map(([, kind]) => kind.displayNameAttributes.join(", else ")),
    "users.attributes.email": kinds.map(([, kind]) => kind.emailAttribute),
    "users.disabled": kinds.map(([, { disabled }]) => {
      if (disabled.kind === "never") return "rule: never";
      const values =
        disabled.kind === "attribute" && disabled.values.length > 0 ? ` = ${disabled.values.join(", ")}` : "";
      return `rule: ${disabled.kind}, ${disabled.attribute}${values}`;
    }),
    "groups.filter": kinds.map(([, kind]) => kind.groupFilter),
    "groups.attributes.id": kinds.map(([, kind]) => kind.idAttribute),
    "groups.attributes.name": kinds.map(([, kind]) => kind.groupNameAttribute),
    "groups.members": kinds.map(([, kind]) => kind.memberAttributes.join(", ")),
  };
  const head = `| key | ${kinds.map(([name]) => `\`${name}\``).join(" | ")} |\n|${" --- |".repeat(kinds.length + 1)}\n`;
  const lines = Object.entries(rows).map(
    ([key, values]) => `| \`${key}\` | ${values.map((value) => `\`${cell(value)}\``).join(" | ")} |\n`,
  );
  return head + lines.join("");
}

function cell(text: unknown): string {
  return String(text).replaceAll("|", "\\|");
}

if (import.meta.main) await writeFile(page, withTables(await readFile(page, "utf8")));
