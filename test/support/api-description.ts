// The API's own description as a test reads it: with all that it refers to in the place of the reference.

import { call } from "./http-server.ts";

/** `T` is what the test reads of it; its shape is the validator's to check. */
export async function readDescription<T>(url: string): Promise<T> {
  const description = (await call(`${url}/openapi.json`)).json;
  const resolve = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map(resolve);
    if (typeof part !== "object" || part === null) return part;
    if ("$ref" in part && typeof part.$ref === "string") return resolve(targetOf(description, part.$ref));
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, resolve(inner)]));
  };
  return resolve(description) as T;
}

function targetOf(description: unknown, reference: string): unknown {
  let target = description;
  for (const key of reference.split("/").slice(1)) {
    if (typeof target !== "object" || target === null || !(key in target)) throw new Error(`no ${reference}`);
    target = (target as Record<string, unknown>)[key];
  }
  return target;
}
