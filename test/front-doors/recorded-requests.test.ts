// Each client of the privacyIDEA protocol, by the bytes that it sends: those of the FreeRADIUS plugin and of pam_python as recorded
// while the unchanged programs ran, the others written from their sources; the version stands beside each (rule 29).

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { callerOf, sendBytes } from "../support/http-server.ts";

const token = "t".repeat(43);
let world: ApiWorld;
let url: string;
beforeAll(async () => {
  world = await openApiWorld();
  const callers = [
    { ...callerOf("client", token, ["login"]), protocol: "privacyidea" as const, checksPassword: true },
  ];
  ({ url } = await world.startServer(world.deps, { callers }));
});
afterAll(() => world.close());

interface Client {
  name: string;
  /** Header lines, as the client writes them. */
  headers: string[];
  body(user: string, pass: string, transactionId?: string): string;
}

const form = "Content-Type: application/x-www-form-urlencoded";
const once = (text: string) => encodeURIComponent(text);
const plus = (text: string) => encodeURIComponent(text).replaceAll("%20", "+");
const boundary = "------------------------d74496d66958873e";

function formOf(pairs: Record<string, string | undefined>, encode = once): string {
  const set = Object.entries(pairs).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return set.map(([name, value]) => `${name}=${encode(value)}`).join("&");
}

function multipartOf(pairs: Record<string, string | undefined>): string {
  const parts = Object.entries(pairs).flatMap(([name, value]) =>
    value === undefined
      ? []
      : [`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`],
  );
  return `${parts.join("")}--${boundary}--\r\n`;
}

const clients: Client[] = [
  {
    name: "FreeRADIUS plugin 3.4.3 (2ec2b17)",
    headers: ["TE: deflate,gzip;q=0.3", "User-Agent: FreeRADIUS", form],
    // Reserved characters it encodes once, all others twice.
    body: (user, pass, state) =>
      formOf({ user: encodeURI(user), state, pass: encodeURI(pass), client: "127.0.0.1" }, plus),
  },
  {
    name: "pam_python (a50388f)",
    headers: ["user-agent: PAM/2.15.0", "Accept-Encoding: gzip, deflate", "Accept: */*", form],
    body: (user, pass, transaction_id) => formOf({ user, transaction_id, pass }, plus),
  },
  {
    name: "privacyidea-pam 1.1.0 (e41b096)",
    headers: ["User-Agent: PAM/1.1.0", "Accept: */*", form],
    body: (user, pass, transaction_id) => formOf({ user, pass, transaction_id }),
  },
  {
    name: "java-client (a0c4de7) in Keycloak (aaa7bf0)",
    headers: ["User-Agent: privacyIDEA-Keycloak/1.5.0 Keycloak/26.0.0", "Accept-Encoding: gzip", form],
    body: (user, pass, transaction_id) => formOf({ user: plus(user), pass: plus(pass), transaction_id }),
  },
  {
    name: "java-client (a0c4de7) in Shibboleth (0a24cf3)",
    headers: ["User-Agent: privacyIDEA-Shibboleth/1.3.0 ShibbolethIdP/4.3.1", form],
    body: (user, pass, transaction_id) => formOf({ user: plus(user), pass: plus(pass), transaction_id }),
  },
  {
    name: "php-client (66f8465) in SimpleSAMLphp (ce26df6)",
    headers: ["User-Agent: simpleSAMLphp/3.1.2", `Content-Type: multipart/form-data; boundary=${boundary}`],
    body: (user, pass, transaction_id) => multipartOf({ user, pass, transaction_id }),
  },
  {
    name: "Nextcloud app (5524073)",
    headers: [
      "User-Agent: privacyidea-nextcloud/1.0.0",
      `Content-Type: multipart/form-data; boundary=${boundary}`,
    ],
    body: (user, pass, transaction_id) => multipartOf({ user, pass, timeout: "5", transaction_id }),
  },
  {
    name: "csharp-client (ca4b518) in ADFS (20bd839)",
    headers: ["User-Agent: PrivacyIDEA-ADFS/1.5.0", `${form}; charset=utf-8`],
    body: (user, pass, transaction_id) => formOf({ user, pass, transaction_id }, plus),
  },
  {
    name: "Windows credential provider (4f9311e)",
    headers: ["User-Agent: privacyidea-cp/3.6.0 Windows/PC-17", form],
    body: (user, pass, transaction_id) => formOf({ user, pass, transaction_id }),
  },
  {
    name: "privacyidea-ldap-proxy (52dc958)",
    headers: ["User-Agent: privacyidea-ldap-proxy/0.6.1", form],
    body: (user, pass) => formOf({ realm: "main", user, pass }, plus),
  },
];

// biome-ignore lint/suspicious/noExplicitAny: read as the clients do, without asking what is there
async function send({ headers }: Client, body: string, path = "validate/check"): Promise<any> {
  const head = [`POST /privacyidea/${token}/${path} HTTP/1.1`, "Host: mfa.example.org", ...headers];
  const length = Buffer.byteLength(body);
  const answer = await sendBytes(
    url,
    `${[...head, `Content-Length: ${length}`, "Connection: close"].join("\r\n")}\r\n\r\n${body}`,
    20_000,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  return JSON.parse(Buffer.from(answer.slice(answer.indexOf("\r\n\r\n") + 4), "latin1").toString());
}

describe.each(clients)("$name", (client) => {
  test("its bytes are understood, and the answer has what it reads", async () => {
    const user = await world.addEnrolledUser(`Jané O'Neil+${clients.indexOf(client)}&=@example.org`);
    const asked = await send(client, client.body(user.username, ""));
    expect(asked.result).toEqual({ status: true, value: false, authentication: "CHALLENGE" });
    const { transaction_id, message, multi_challenge } = asked.detail;
    expect([typeof transaction_id, typeof message]).toEqual(["string", "string"]);
    // A challenge that lacks one of these is none for the clients of ADFS and SimpleSAMLphp.
    for (const key of ["message", "transaction_id", "client_mode", "type", "serial"])
      expect([key, typeof multi_challenge[0][key]]).toEqual([key, "string"]);

    const failures = async () => {
      const rows = await world.database.db("lockouts").where({ user_id: user.id }).sum("failures as sum");
      return Number(rows[0]?.sum);
    };
    const inItsPlace = await send(client, client.body(user.username, "a pass word+é%"));
    expect([inItsPlace.result.value, await failures()]).toEqual([false, 0]);
    const wrong = await send(client, client.body(user.username, world.wrongCodeOf(user), transaction_id));
    expect(wrong.result).toEqual({ status: true, value: false, authentication: "REJECT" });
    expect(await failures()).toBe(1);
    // With one, the FreeRADIUS plugin would ask again in place of refusing.
    expect(wrong.detail.transaction_id).toBeUndefined();

    const code = client.body(user.username, world.codeOf(user), transaction_id);
    const right = await send(client, code);
    expect(right.result).toEqual({ status: true, value: true, authentication: "ACCEPT" });
    // pam_python asks for these, and takes null for none.
    expect(right.auth_items).toBeUndefined();
    expect(right.detail.attributes).toBeNull();
    expect((await send(client, code)).result.value).toBe(false);
  });
});

test.each([
  [
    "FreeRADIUS plugin",
    "jané+o%27neil@x",
    (code: string) => `user=jan%25C3%25A9%2Bo%252527neil%40x&pass=${code}&client=127.0.0.1`,
  ],
  ["pam_python", "zoé pam", (code: string) => `user=zo%C3%A9+pam&pass=${code}`],
])("%s writes in this list as the program itself was seen to write", async (name, username, recorded) => {
  const user = await world.addEnrolledUser(username);
  const client = clients.find((one) => one.name.startsWith(name));
  if (!client) throw new Error("no such client");
  const code = world.codeOf(user);
  expect(client.body(user.username, code)).toBe(recorded(code));
  expect((await send(client, recorded(code))).result.value).toBe(true);
});
