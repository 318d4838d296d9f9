// What the example login service tells a reverse proxy, and where a sign-in may lead back to. The proxies themselves are in
// test/interop/reverse-proxies.test.ts.

import { once } from "node:events";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { readApplications } from "../../examples/login-service/applications.ts";
import { createLoginService } from "../../examples/login-service/server.ts";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import {
  type LoginServiceWorld,
  openLoginServiceWorld,
  personLdif,
  succeeds,
} from "./login-service-world.ts";

const publicUrl = new URL("https://login.example.org");
const applications = readApplications(publicUrl, {
  applications: "https://wiki.example.org, https://git.example.org:8443",
  cookieDomain: "example.org",
});

let world: LoginServiceWorld;
let app: FastifyInstance;
beforeAll(async () => {
  const group = ldifEntry("cn=a\\, admins,ou=groups,dc=example,dc=org", [
    ["objectClass", "groupOfNames"],
    ["cn", "a, admins"],
    ["member", "uid=ada,ou=people,dc=example,dc=org"],
  ]);
  world = await openLoginServiceWorld(
    `${personLdif("ada", "Äda")}${personLdif("ben")}${personLdif("cleo")}${personLdif("dora")}${group}`,
  );
  app = createLoginService({
    publicUrl,
    applications,
    dirmfa: world.dirmfa,
    directory: undefined,
    checkPassword: async (username, typed) => (typed === "right" ? username : undefined),
  });
}, 120_000);
afterAll(async () => {
  vi.useRealTimers();
  await app?.close();
  await world?.stop();
});

const forwarded = { "x-forwarded-proto": "https", "x-forwarded-host": "wiki.example.org" };

function ask(headers: Record<string, string> = {}) {
  return app.inject({ url: "/forward-auth", headers: { ...forwarded, ...headers } });
}

type Answer = Awaited<ReturnType<typeof ask>>;

/** The Cookie header for what an answer has set. */
function cookiesOf(answer: Answer, kind: RegExp = /./): string {
  const set = [answer.headers["set-cookie"] ?? []].flat();
  return set
    .map((cookie) => cookie.split(";")[0] ?? "")
    .filter((cookie) => kind.test(cookie))
    .join("; ");
}

async function signIn(username: string, rd = ""): Promise<Answer> {
  const page = await app.inject({ url: "/sign-in" });
  const csrf = /name="csrf" value="([^"]+)"/.exec(page.body)?.[1] ?? "";
  return app.inject({
    method: "POST",
    url: "/sign-in",
    headers: { cookie: cookiesOf(page), "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ csrf, username, password: "right", rd }).toString(),
  });
}

test("a sign-in leads back to pages of the list alone", () => {
  const allowed = [
    "https://wiki.example.org",
    "https://wiki.example.org/a?b=c#d",
    "https://WIKI.example.org:443/",
    "https://git.example.org:8443/x",
  ];
  for (const url of allowed) expect(applications.pageOf(url), url).toBe(new URL(url).href);
  const refused = [
    "",
    "/settings",
    "//evil.example.net/",
    "http://wiki.example.org/",
    "https://git.example.org/",
    "https://wiki.example.org:444/",
    "https://wiki.example.org.evil.example.net/",
    "https://wiki.example.org@evil.example.net/",
    "https://evil@wiki.example.org/",
    "https:\\\\evil.example.net\\@wiki.example.org/",
    "https://evil.example.net\\.wiki.example.org/",
    "https://evil.example.net/https://wiki.example.org",
    "javascript:alert(1)//https://wiki.example.org",
    "data:text/html,wiki.example.org",
    "https://wiki.example.org%2eevil.example.net/",
    "https://notwiki.example.org/",
    "blob:https://wiki.example.org/1",
  ];
  for (const url of refused) expect(applications.pageOf(url), url).toBeUndefined();
});

test("a list that cannot work stops the start, and says what to set", () => {
  const read = (list: string, cookieDomain?: string) => () =>
    readApplications(publicUrl, { applications: list, cookieDomain });
  expect(read("https://wiki.example.org")).toThrow(/COOKIE_DOMAIN/);
  expect(read("https://wiki.example.net", "example.org")).toThrow(
    /does not reach https:\/\/wiki.example.net/,
  );
  expect(read("https://wiki.notexample.org", "example.org")).toThrow(/COOKIE_DOMAIN/);
  expect(read("wiki.example.org", "example.org")).toThrow(/write origins/);
  expect(read("http://wiki.example.org", "example.org")).toThrow(/write origins/);
  expect(read("https://wiki.example.org/page", "example.org")).toThrow(/write origins/);
  expect(read("https://login.example.org")().origins).toEqual(["https://login.example.org"]);
  expect(read("")().origins).toEqual([]);
});

test("without applications there is nothing to ask", async () => {
  const answer = await fetch(`${world.url}/forward-auth`);
  expect(answer.status).toBe(404);
});

test("a name that goes to somebody else opens nothing in their name", async () => {
  const cookie = cookiesOf(await signIn("dora"), /badge/);
  const rename = (from: string, to: string) =>
    world.sql(`update users set username = '${to}', username_key = '${to}' where username_key = '${from}'`);
  await rename("dora", "gone");
  await rename("cleo", "dora");
  expect((await ask({ cookie })).statusCode).toBe(401);
  await rename("dora", "cleo");
});

test("nobody is signed in without a badge: 401 and the way to sign in", async () => {
  const made = "A".repeat(43);
  for (const cookie of ["", `__Secure-badge=${made}`, `__Host-session=${made}`, "__Secure-badge="]) {
    const answer = await ask({ cookie, "x-forwarded-uri": "/page?x=1&y" });
    expect(answer.statusCode).toBe(401);
    const signInUrl = new URL(String(answer.headers.location));
    expect(signInUrl.origin).toBe("https://login.example.org");
    expect(signInUrl.searchParams.get("rd")).toBe("https://wiki.example.org/page?x=1&y");
  }
});

test("a page that is not in the list is left out of the way to sign in, and out of the form", async () => {
  const answer = await ask({ "x-forwarded-host": "evil.example.net" });
  expect(answer.headers.location).toBe("https://login.example.org/sign-in");
  const uri = await ask({ "x-forwarded-uri": "@evil.example.net/" });
  expect(uri.headers.location).toBe("https://login.example.org/sign-in?rd=https%3A%2F%2Fwiki.example.org%2F");
  const page = await app.inject({ url: "/sign-in?rd=https://evil.example.net/" });
  expect(page.body).not.toContain("evil");
  const signedIn = await signIn("ada", "https://evil.example.net/");
  const home = await app.inject({ url: "/", headers: { cookie: cookiesOf(signedIn) } });
  expect(home.statusCode).toBe(200);
});

test("the badge says who is signed in, and opens no page of the login service", async () => {
  const signedIn = await signIn("ada", "https://wiki.example.org/page");
  const badge = cookiesOf(signedIn, /badge/);
  expect(String(signedIn.headers["set-cookie"])).toMatch(
    /__Secure-badge=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax; Domain=example\.org/,
  );
  const answer = await ask({ cookie: badge });
  expect(answer.statusCode).toBe(200);
  expect(answer.headers["remote-user"]).toBe("ada");
  expect(Buffer.from(String(answer.headers["remote-name"]), "latin1").toString()).toBe("Äda");
  expect(answer.headers["remote-email"]).toBe("");
  // A comma in a group's name must not make two groups of it.
  expect(answer.headers["remote-groups"]).toBe("a%2C admins");
  const value = badge.split("=")[1];
  for (const cookie of [badge, `__Host-session=${value}`]) {
    const page = await app.inject({ url: "/settings", headers: { cookie } });
    expect(page.headers.location).toBe("/sign-in");
  }
  // Nor is the session's own cookie a badge.
  const session = cookiesOf(signedIn, /session/).split("=")[1];
  expect((await ask({ cookie: `__Secure-badge=${session}` })).statusCode).toBe(401);
});

test("the password alone makes no badge for a user with a second factor, and signing out ends it", async () => {
  await world.enroll("ben");
  expect(cookiesOf(await signIn("ben"), /badge/)).toBe("");

  const signedIn = await signIn("ada");
  const home = await app.inject({ url: "/", headers: { cookie: cookiesOf(signedIn) } });
  const csrf = /name="csrf" value="([^"]+)"/.exec(home.body)?.[1] ?? "";
  await app.inject({
    method: "POST",
    url: "/sign-out",
    headers: { cookie: cookiesOf(signedIn), "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ csrf }).toString(),
  });
  expect((await ask({ cookie: cookiesOf(signedIn, /badge/) })).statusCode).toBe(401);
});

test("who has left the directory is out after a minute; without an answer of dirmfa nobody gets in", async () => {
  const cookie = cookiesOf(await signIn("cleo"), /badge/);
  const other = cookiesOf(await signIn("ada"), /badge/);
  expect((await ask({ cookie })).statusCode).toBe(200);
  expect((await ask({ cookie: other })).statusCode).toBe(200);
  await world.slapd.modify("dn: uid=cleo,ou=people,dc=example,dc=org\nchangetype: delete\n");
  await succeeds(world.installation, "sync");
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 61_000 });
  expect((await ask({ cookie })).statusCode).toBe(401);
  expect((await ask({ cookie: other })).statusCode).toBe(200);

  const exited = once(world.daemon, "exit");
  world.daemon.kill("SIGTERM");
  await exited;
  expect((await ask({ cookie: other })).statusCode).toBe(200); // known for less than a minute
  vi.setSystemTime(Date.now() + 61_000);
  expect((await ask({ cookie: other })).statusCode).toBe(503);
  expect((await ask({ cookie: "" })).statusCode).toBe(401);
});
