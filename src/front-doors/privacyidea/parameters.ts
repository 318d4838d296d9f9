// Reading the parameters of a request: form, multipart or JSON, with the second percent-encoding that most clients of this
// protocol put on. A parameter that is there twice is refused: two readers may each see another one of the values.

import { parseJsonBody } from "../../http/json-body.ts";

export type Parameters = ReadonlyMap<string, string>;

/** Undefined when the body is not one of the three, is broken, or has a parameter twice. */
export async function readParameters(
  body: Buffer,
  contentType: string,
  userAgent: string,
): Promise<Parameters | undefined> {
  if (body.length === 0) return new Map();
  if (contentType.startsWith("application/json")) return fromJson(body);
  try {
    // The platform's own readers of both kinds of form.
    const form = await new Response(new Uint8Array(body), {
      headers: { "content-type": contentType },
    }).formData();
    return fromPairs([...form], userAgent);
  } catch {
    return undefined;
  }
}

/** The parameters of a query. Undefined when one is there twice. */
export function readQuery(query: string, userAgent: string): Parameters | undefined {
  return fromPairs([...new URLSearchParams(query)], userAgent);
}

function fromPairs(pairs: [string, unknown][], userAgent: string): Parameters | undefined {
  const decode = secondDecodingOf(userAgent);
  const found = new Map<string, string>();
  for (const [name, value] of pairs) {
    if (typeof value !== "string" || found.has(name)) return undefined; // a file, or a second value
    found.set(name, decode(value));
  }
  return found;
}

function fromJson(body: Buffer): Parameters | undefined {
  let value: unknown;
  try {
    value = parseJsonBody(body);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const found = new Map<string, string>();
  for (const [name, one] of Object.entries(value)) {
    if (typeof one === "string") found.set(name, one);
    else if (typeof one === "number" || typeof one === "boolean") found.set(name, String(one));
    else if (one !== null) return undefined;
  }
  return found;
}

// privacyIDEA's own server makes the same exception for the same three clients; all others encode twice.
function encodesOnce(userAgent: string): boolean {
  return /^(simplesamlphp|privacyidea-cp|privacyidea-ldap-proxy)/i.test(userAgent);
}

function secondDecodingOf(userAgent: string): (text: string) => string {
  if (encodesOnce(userAgent)) return (text) => text;
  // The Java client of these two encodes as forms do: its plus is a space, and a real plus is percent-encoded.
  if (/^privacyidea-(keycloak|shibboleth)/i.test(userAgent))
    return (text) => decodePercent(text.replaceAll("+", " "));
  return decodePercent;
}

/** A text that is not percent-encoded stays as it is, so a client that encodes once is understood as well. */
function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
