// The few kinds of value that the schema is made of. Each knows how to say what is wanted of it; none knows a setting.

import { type TProperties, type TSchema, Type } from "typebox";

/** Annotations of dirmfa's own in the JSON Schema; other readers pass over them. */
export interface Annotations {
  description: string;
  /** What is wanted, in words, where the type alone does not say it. */
  wanted?: string;
  /** Why values outside the range are refused. */
  reason?: string;
  /** The standard's word for: never show this value to anyone. */
  writeOnly?: true;
}

/**
 * A mapping with these keys and no others. A key is required unless it is optional or has a default: defaults are filled
 * in before the check, so that the checked value has them all, while the file need not.
 */
export function mapping<P extends TProperties>(
  properties: P,
  options: Annotations & { default?: object; $schema?: string },
) {
  const required = Object.entries(properties)
    .filter(([, schema]) => !Type.IsOptional(schema) && !("default" in schema))
    .map(([name]) => name);
  return Type.Object(properties, { additionalProperties: false, required, ...options });
}

/** Text that is not empty. 4,096 is longer than any path, DN or filter that was meant. */
export function text(
  options: Annotations & { default?: string; format?: string; pattern?: string; maxLength?: number },
) {
  return Type.String({ minLength: 1, maxLength: 4096, ...options });
}

/** `30s`, `15m`, `12h`, `7d` between two of the same. */
export function duration(range: readonly [string, string], options: Annotations & { default: string }) {
  return Type.String({ pattern: "^[0-9]{1,7}[smhd]$", durationRange: range, ...options });
}

export function wholeNumber(range: readonly [number, number], options: Annotations & { default: number }) {
  return Type.Integer({ minimum: range[0], maximum: range[1], ...options });
}

export function flag(options: Annotations & { default: boolean }) {
  return Type.Boolean({ ...options });
}

/** No more than 1,000 items; texts must differ from each other. */
export function list<S extends TSchema>(
  item: S,
  options: Annotations & { default?: unknown[]; minItems?: number },
) {
  // Only for texts: mappings would be compared pair by pair, and what must be unique in them is checked by name.
  return Type.Array(item, {
    maxItems: 1000,
    ...(Type.IsString(item) ? { uniqueItems: true } : {}),
    ...options,
  });
}
