// Reading a JSON body: UTF-8 or nothing, and no key twice, since two readers of such a body may each see another one of
// the values. Pure; says nothing of what the body held.

import { ProblemAnswer } from "./problems.ts";

// To make one takes longer than to use it.
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The value of a body; undefined for an empty one. Throws a ProblemAnswer without any part of the body in it. */
export function parseJsonBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw new ProblemAnswer({ code: "invalid-request", detail: "The body is not JSON in UTF-8." });
  }
  if (hasRepeatedKey(text)) {
    throw new ProblemAnswer({ code: "invalid-request", detail: "The body has a field twice." });
  }
  return value;
}

/** `text` must be JSON that was parsed already: then every string before a colon is a key. */
function hasRepeatedKey(text: string): boolean {
  const open: Set<string>[] = [];
  for (const [token, key] of text.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === "{" || token === "[") open.push(new Set());
    else if (token === "}" || token === "]") open.pop();
    else if (key !== undefined) {
      const keys = open.at(-1);
      const name: string = JSON.parse(key);
      if (keys?.has(name)) return true;
      keys?.add(name);
    }
  }
  return false;
}
