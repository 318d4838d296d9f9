// What an attacker sends to the privacyIDEA door: broken encodings, huge and doubled parameters, the token in odd places, fifty at
// once. Nothing lets in, nothing is an internal error, and the server goes on (rule 29).

import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { callerOf, sendBytes } from "../support/http-server.ts";

const token = "h".repeat(43);
let world: ApiWorld;
let url: string;
beforeAll(async () => {
  world = await openApiWorld();
  const callers = [{ ...callerOf("client", token, ["login"]), protocol: "privacyidea" as const }];
  ({ url } = await world.startServer(world.deps, { callers }));
});
afterAll(() => world.close());

const form = "application/x-www-form-urlencoded";

async function post(body: string | Uint8Array<ArrayBuffer>, type = form, path = `${token}/validate/check`) {
  const response = await fetch(`${url}/privacyidea/${path}`, {
    method: "POST",
    body,
    headers: { "content-type": type, "user-agent": "PAM/2.15.0" },
  });
  return { status: response.status, text: await response.text() };
}

test("nothing that is broken, huge or doubled lets in or breaks the server", async () => {
  const user = await world.addEnrolledUser("victim");
  const code = world.codeOf(user);
  const bytes = (...parts: (string | number[])[]) =>
    new Uint8Array(
      Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from(part)))),
    );
  const boundary = "multipart/form-data; boundary=x";
  const part = (name: string, value: string) =>
    `--x\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const requests: [string | Uint8Array<ArrayBuffer>, string?][] = [
    ["user=victim%00&pass=", form],
    ["user=%00&pass=", form],
    [bytes("user=vict", [0xff, 0xfe], "im&pass="), form],
    ["user=%FF%FE&pass=", form],
    ["user=%25FF%2500&pass=", form],
    [`user=nobody&user=victim&pass=${code}`, form],
    [`user=victim&pass=000000&%70ass=${code}`, form],
    [`user[]=victim&pass[]=${code}`, form],
    [`user=${"a".repeat(100_000)}&pass=${code}`, form],
    [`user=victim&pass=${"1".repeat(100_000)}`, form],
    [`user=victim&pass=1&transaction_id=${"A".repeat(50_000)}`, form],
    [`user=victim&pass=${code}&transaction_id=${"A".repeat(48)}`, form],
    [`user=victim&pass=${code}`, "application/json"],
    [`{"user":"victim","pass":"${code}"}`, form],
    [`{"user":["victim"],"pass":"${code}"}`, "application/json"],
    [`{"user":"victim","pass":"1","p\\u0061ss":"${code}"}`, "application/json"],
    [`{"__proto__":{"user":"victim","pass":"${code}"}}`, "application/json"],
    ["[".repeat(50_000), "application/json"],
    [`${part("user", "victim")}${part("pass", "1")}${part("pass", code)}--x--\r\n`, boundary],
    [`${part("user", "victim")}${part("pass", code)}`, boundary],
    [`${part("user", "victim")}--x--\r\n`, "multipart/form-data"],
    [bytes([0x1f, 0x8b, 0x08]), form],
    ["x".repeat(2_000_000), form],
  ];
  for (const [body, type] of requests) {
    const { status, text } = await post(body, type);
    const seen = JSON.stringify([String(body).slice(0, 60), type, status, text.slice(0, 200)]);
    expect(status, seen).toBeLessThan(500);
    expect(text, seen).not.toContain("ACCEPT");
  }
  // The code was spent by none of them.
  expect((await post(`user=victim&pass=${code}`)).text).toContain("ACCEPT");
});

test("a token in another place of the path opens nothing", async () => {
  const body = "user=victim&pass=";
  for (const path of [
    `validate/${token}/check`,
    `validate/check/${token}`,
    `${token}/${token}/validate/check`,
    `${token}%2F..%2Fx/validate/check`,
    `${token}%00/validate/check`,
    `${token}//validate/check`,
    `${"h".repeat(10_000)}/validate/check`,
    `validate/check?token=${token}`,
    `validate/check;${token}`,
    `%FF/validate/check`,
  ]) {
    const { status, text } = await post(body, form, path);
    expect([path.slice(0, 80), status >= 400 && status < 500], text).toEqual([path.slice(0, 80), true]);
  }
  const twoTokens = `POST /privacyidea/${"x".repeat(43)}/validate/check HTTP/1.1\r\nHost: x\r\nX-API-Key: ${token}\r\n`;
  const rest = `Content-Type: ${form}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
  expect(await sendBytes(url, twoTokens + rest, 10_000)).toMatch(/^HTTP\/1\.1 401 /); // the path's is the one
});

test("of fifty equal codes at once one is accepted", async () => {
  const user = await world.addEnrolledUser();
  const body = `user=${user.username}&pass=${world.codeOf(user)}`;
  const answers = await Promise.all(Array.from({ length: 50 }, () => post(body)));
  expect(answers.filter(({ text }) => text.includes("ACCEPT"))).toHaveLength(1);
  expect(answers.filter(({ status }) => status >= 500)).toEqual([]);
});
