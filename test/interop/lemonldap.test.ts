// A real LemonLDAP::NG portal with dirmfa as its second factor, in a real browser: password, then code, then the application that
// its handler protects, and an OIDC client that gets a signed ID token.

import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { createCertificateAuthority } from "../../scripts/servers/certificates.ts";
import { startBrowser } from "../../scripts/servers/chromium.ts";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { type Lemonldap, startLemonldap } from "../../scripts/servers/lemonldap.ts";
import { freePort } from "../../scripts/servers/ports.ts";
import { startSlapd } from "../../scripts/servers/slapd.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { callerOf } from "../support/http-server.ts";
import { keptLines, noteSecret } from "../support/kept-logs.ts";
import type { EnrolledUser } from "../verification/verification-world.ts";
import { type RelyingParty, startRelyingParty } from "./relying-party.ts";

// A sign-in is four pages with scripts, and the portal compiles most of its Perl when it is first asked.
vi.setConfig({ testTimeout: 240_000 });

const token = "l".repeat(43);
const password = "correct horse 77";
const running = new AsyncDisposableStack();
let world: ApiWorld;
let server: Awaited<ReturnType<ApiWorld["startServer"]>>;
let portal: Lemonldap;
let browser: Browser;
let client: RelyingParty;
let port: number;

const withCodes = ["amal", "bea", "chi", "dora", "emil"];
const names = [...withCodes, "free", "late", "gone", "stranger"];
const enrolled = new Map<string, EnrolledUser>();

// What the portal shows, by the number in its page (Lemonldap::NG::Portal::Main::Constants).
const shown = { badPassword: "5", error: "24", badCode: "96" } as const;

beforeAll(async () => {
  noteSecret(password);
  world = await openApiWorld();
  running.defer(() => world.close());
  const callers = [{ ...callerOf("portal", token, ["login"]), protocol: "lemonldap" as const }];
  server = await world.startServer(world.deps, { callers });
  const slapd = await startSlapd();
  running.defer(() => slapd.stop());
  for (const uid of names) {
    await slapd.add(
      ldifEntry(`uid=${uid},ou=people,${slapd.suffix}`, [
        ["objectClass", "inetOrgPerson"],
        ["uid", uid],
        ["cn", `${uid} Test`],
        ["sn", "Test"],
        ["userPassword", password],
      ]),
    );
  }
  for (const uid of withCodes) enrolled.set(uid, await world.addEnrolledUser(uid));
  await world.addUser({ username: "free" });
  await world.addUser({ username: "gone", state: "disabled" });
  const application = createServer((request, response) => {
    response.setHeader("content-type", "text/plain");
    response.end(`application ${request.url} for <${request.headers["remote-user"]}>`);
  }).listen(0, "127.0.0.1");
  await once(application, "listening");
  running.defer(() => void application.close());

  port = await freePort();
  const authority = createCertificateAuthority();
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  client = await startRelyingParty({ issuer: issuer(), port, ca: authority.certPem });
  running.defer(() => client.stop());
  portal = await startLemonldap({
    port,
    slapd,
    certificate: authority.issue({ names: ["*.example.org"] }),
    applicationPort: (application.address() as AddressInfo).port,
    verifyUrl: `${server.url.replace("http://", `http://portal:${token}@`)}/lemonldap/verify`,
    oidcClient: { id: client.id, secret: client.secret, redirectUri: client.redirectUri },
    oidcKey: {
      privatePem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      publicPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
    },
  });
  const lines = keptLines("LemonLDAP::NG");
  running.defer(() => portal.stop());
  running.defer(() => void lines.push(portal.log()));
  browser = await startBrowser({ hosts: "*.example.org" });
  running.defer(() => browser.close());
}, 180_000);
afterAll(() => running.disposeAsync());

const issuer = () => `https://auth.example.org:${port}`;
const wiki = () => `https://wiki.example.org:${port}`;

function user(name: string): EnrolledUser {
  const found = enrolled.get(name);
  if (!found) throw new Error(`no enrolled user ${name}`);
  return found;
}

async function openPage(): Promise<Page> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  onTestFinished(() => context.close());
  context.setDefaultTimeout(30_000);
  return context.newPage();
}

const textOf = (page: Page) => page.locator("body").innerText();

async function typePassword(page: Page, name: string, typed = password): Promise<void> {
  await page.locator("input[name=user]").fill(name);
  await page.locator("input[name=password]").fill(typed);
  await page.getByRole("button", { name: "Connect" }).click();
}

/** The number of the portal's message, or what the application or the client shows to who got in. */
async function typeCode(page: Page, code: string): Promise<string> {
  await page.locator("input[name=code]").fill(code);
  await page.getByRole("button", { name: "Connect" }).click();
  const end = page.locator("pre, [trmsg]").first(); // neither is on the page with the form
  await end.waitFor({ state: "attached" });
  return (await end.getAttribute("trmsg")) ?? (await end.innerText());
}

/** The application asked for, then the password, then the code. */
async function signIn(name: string, code: string): Promise<string> {
  const page = await openPage();
  await page.goto(`${wiki()}/page?x=1`);
  await typePassword(page, name);
  const ended = await typeCode(page, code);
  if (Object.values<string>(shown).includes(ended)) await expectClosed(page);
  return ended;
}

async function expectClosed(page: Page): Promise<void> {
  await page.goto(`${wiki()}/page`);
  expect(page.url()).toMatch(`${issuer()}/?url=`);
  expect(await textOf(page)).not.toContain("application");
}

const inside = (name: string) => `application /page?x=1 for <${name}>`;

test("a browser gets through portal, password and code to the application, and a code works once", async () => {
  const code = world.codeOf(user("amal"));
  expect(await signIn("amal", code)).toBe(inside("amal"));
  expect(await signIn("amal", code)).toBe(shown.badCode);
  expect(await signIn("amal", user("amal").backupCodes[0] ?? "")).toBe(inside("amal"));
});

test("a wrong password asks for no code, and the password alone opens no application", async () => {
  const page = await openPage();
  await page.goto(`${wiki()}/page`);
  await typePassword(page, "bea", "wrong");
  await page.locator(`[trmsg="${shown.badPassword}"]`).waitFor({ state: "attached" });
  expect(await page.locator("input[name=code]").count()).toBe(0);
  await typePassword(page, "bea");
  await page.locator("input[name=code]").waitFor();
  await expectClosed(page);
});

test("a wrong code counts as a failure, a password in its place does not, and a locked user is refused", async () => {
  const bea = user("bea");
  const failures = async () =>
    (await world.database.db("lockouts").where({ user_id: bea.id }).sum("failures as sum"))[0]?.sum;
  expect(await signIn("bea", password)).toBe(shown.badCode);
  expect(await failures()).toBe("0");
  expect(await signIn("bea", world.wrongCodeOf(bea))).toBe(shown.badCode);
  expect(await failures()).toBe("1");
  for (let failure = 1; failure < 5; failure += 1) await world.verify(bea, world.wrongCodeOf(bea));
  expect(await signIn("bea", world.codeOf(bea))).toBe(shown.badCode);
});

test("two browsers with one code: one gets in", async () => {
  const code = world.codeOf(user("chi"));
  const ended = await Promise.all([signIn("chi", code), signIn("chi", code)]);
  expect(ended.sort()).toEqual([shown.badCode, inside("chi")].sort());
});

test("who is asked nothing gets in with anything; who is unknown to dirmfa or disabled does not", async () => {
  expect(await signIn("free", "anything")).toBe(inside("free"));
  expect(await signIn("stranger", "123456")).toBe(shown.badCode);
  expect(await signIn("gone", "123456")).toBe(shown.badCode);
});

test("who must enroll is refused, and within the grace period gets in", async () => {
  const late = await world.addUser({ username: "late" });
  await world.replica({ mode: "required" }); // puts the policy in force
  onTestFinished(() => void world.replica());
  const until = (enrollment_deadline: string) =>
    world.database
      .db("users")
      .where({ id: late.id })
      .update({ required_since: new Date(0), enrollment_deadline: new Date(enrollment_deadline) });
  await until("2020-01-01T00:00:00Z");
  expect(await signIn("late", "123456")).toBe(shown.badCode);
  await until("2100-01-01T00:00:00Z");
  expect(await signIn("late", "later")).toBe(inside("late"));
});

test("an OIDC client behind the portal gets an ID token after password and code, and none before", async () => {
  const page = await openPage();
  await page.goto(`${client.url}/start`);
  await typePassword(page, "dora");
  await page.locator("input[name=code]").waitFor();
  const without = await page.context().newPage(); // in the same browser, the password checked
  await without.goto(`${client.url}/start`);
  expect(await without.locator("input[name=password]").count()).toBe(1);
  expect(await typeCode(page, world.codeOf(user("dora")))).toBe("signed in as <dora> <dora>");
  expect(client.refusals).toEqual([]);
});

test("with dirmfa away nobody gets in, and the portal says that something is broken, not that the code is wrong", async () => {
  await server.server.close();
  expect(await signIn("emil", world.codeOf(user("emil")))).toBe(shown.error);
  expect(await signIn("free", "anything")).toBe(shown.error);
});
