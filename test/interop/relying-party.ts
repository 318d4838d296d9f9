// A small OpenID Connect client for tests: the authorization code flow of OpenID Connect Core 1.0 (3.1), and the checks of an ID
// token that section 3.1.3.7 asks for, written with the platform's own cryptography.

import { createPublicKey, randomBytes, verify } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";

export interface RelyingParty {
  id: string;
  secret: string;
  redirectUri: string;
  /** Where the browser starts. */
  url: string;
  /** Why it refused somebody; empty as long as all is well. */
  refusals: string[];
  stop(): Promise<void>;
}

/** `issuer` is reached at 127.0.0.1 and `port`, and shows a certificate of `ca`. */
export async function startRelyingParty(options: {
  issuer: string;
  port: number;
  ca: string;
}): Promise<RelyingParty> {
  const id = "wiki-client";
  const secret = randomBytes(24).toString("base64url");
  const pending = new Map<string, string>();
  const refusals: string[] = [];
  const server = createServer((asked, answer) => {
    const url = new URL(asked.url ?? "/", "http://client");
    const finish = async () => {
      if (url.pathname === "/start") {
        const [state, nonce] = [randomBytes(16).toString("hex"), randomBytes(16).toString("hex")];
        pending.set(state, nonce);
        const query = { response_type: "code", client_id: id, scope: "openid profile", state, nonce };
        const parameters = new URLSearchParams({ ...query, redirect_uri: redirectUri });
        answer.writeHead(302, { location: `${options.issuer}/oauth2/authorize?${parameters}` }).end();
        return;
      }
      if (url.pathname !== "/callback") return void answer.writeHead(404).end(); // a browser wants an icon
      const nonce = pending.get(url.searchParams.get("state") ?? "");
      pending.delete(url.searchParams.get("state") ?? "");
      if (nonce === undefined) throw new Error("no such state");
      const form = new URLSearchParams({
        grant_type: "authorization_code",
        code: url.searchParams.get("code") ?? "",
        redirect_uri: redirectUri,
      });
      const basic = Buffer.from(`${id}:${secret}`).toString("base64");
      const tokens = await ask(options, "/oauth2/token", form.toString(), {
        authorization: `Basic ${basic}`,
      });
      const { keys } = await ask(options, "/oauth2/jwks");
      const claims = claimsOf(String(tokens.id_token), keys, {
        issuer: `${options.issuer}/`, // the portal's address as it writes it
        id,
        nonce,
      });
      answer.writeHead(200, plain).end(`signed in as <${claims.sub}> <${claims.preferred_username}>`);
    };
    finish().catch((error: unknown) => {
      refusals.push(String(error));
      answer.writeHead(400, plain).end(`refused: ${String(error)}`);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const redirectUri = `${url}/callback`;
  return {
    id,
    secret,
    redirectUri,
    url,
    refusals,
    async stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

const plain = { "content-type": "text/plain" };

// biome-ignore lint/suspicious/noExplicitAny: documents of OpenID Connect, read key by key
type Document = Record<string, any>;

async function ask(
  { issuer, port, ca }: { issuer: string; port: number; ca: string },
  path: string,
  body?: string,
  headers: Record<string, string> = {},
): Promise<Document> {
  const { hostname, host } = new URL(issuer);
  const sent = request({
    host: "127.0.0.1",
    port,
    servername: hostname,
    ca,
    path,
    method: body === undefined ? "GET" : "POST",
    headers: {
      host,
      ...(body === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
      ...headers,
    },
  });
  sent.end(body);
  const [response] = await once(sent, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode} ${text}`);
  return JSON.parse(text);
}

/** The claims of an ID token. Throws unless its signature, issuer, audience, time and nonce are right. */
function claimsOf(
  idToken: string,
  keys: Document[],
  wanted: { issuer: string; id: string; nonce: string },
): Document {
  const [head = "", payload = "", signature = ""] = idToken.split(".");
  const { alg, kid } = decoded(head);
  const jwk = keys.find((key) => key.kid === kid);
  if (alg !== "RS256" || jwk === undefined) throw new Error("no key of the issuer");
  const key = createPublicKey({ key: jwk, format: "jwk" });
  const signed = Buffer.from(`${head}.${payload}`);
  if (!verify("sha256", signed, key, Buffer.from(signature, "base64url"))) throw new Error("wrong signature");
  const claims = decoded(payload);
  if (claims.iss !== wanted.issuer) throw new Error(`wrong issuer ${claims.iss}`);
  if (![claims.aud].flat().includes(wanted.id)) throw new Error("for another client");
  if (!(claims.exp * 1000 > Date.now())) throw new Error("expired");
  if (claims.nonce !== wanted.nonce) throw new Error("wrong nonce");
  return claims;
}

function decoded(part: string): Document {
  return JSON.parse(Buffer.from(part, "base64url").toString());
}
