// Which token a request of this protocol carries. Most of its clients send no token, so the token may stand in the
// path of the URL that they are configured with; the others send it as a header. Never logged, never put into an answer but to
// who sent it.

import type { IncomingHttpHeaders } from "node:http";

/** The caller's token, wherever it stands; undefined when there is none. Only its form is looked at. */
export function tokenOf(pathToken: string | undefined, headers: IncomingHttpHeaders): string | undefined {
  if (pathToken !== undefined) return pathToken;
  const apiKey = headers["x-api-key"];
  if (typeof apiKey === "string" && apiKey !== "") return apiKey;
  const header = headers.authorization ?? "";
  const basic = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(header)?.[1];
  if (basic !== undefined) return passwordOf(Buffer.from(basic, "base64").toString("utf8"));
  const bare = header.replace(/^(Bearer|PI) +/i, "");
  return bare === "" ? undefined : afterLastDot(bare);
}

/** The name is the caller's own word and is not looked at. */
function passwordOf(pair: string): string | undefined {
  const colon = pair.indexOf(":");
  return colon < 0 ? undefined : pair.slice(colon + 1);
}

// What `roleToken` made: the token is its third part. A caller's token itself may have dots only if somebody chose it by hand.
function afterLastDot(text: string): string {
  return /^[\w+/=-]+\.[\w+/=-]+\.[\w-]+$/.test(text) ? text.slice(text.lastIndexOf(".") + 1) : text;
}

/**
 * The token in the shape of a JWT: clients of `POST /auth` read the role from its middle part and send the whole back. It
 * proves no more than the token in its third part, which the client has just shown.
 */
export function roleToken(token: string, name: string, now: Date): string {
  const head = base64Of({ alg: "none", typ: "JWT" });
  const expiresAt = Math.floor(now.getTime() / 1000) + 3_600; // clients ask for a new one then
  return `${head}.${base64Of({ username: name, realm: "", role: "admin", exp: expiresAt })}.${token}`;
}

// Some clients decode with the plain base64 alphabet, others with that of URLs: spaces in the JSON are moved until the text
// needs no character in which the two differ, nor padding.
function base64Of(value: object): string {
  const json = JSON.stringify(value);
  for (let spaces = 0; spaces < 64; spaces += 1) {
    const text = Buffer.from(`${" ".repeat(spaces)}${json}`).toString("base64");
    if (!/[+/=]/.test(text)) return text;
  }
  return Buffer.from(json).toString("base64url");
}
