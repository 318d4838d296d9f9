// Applications behind nginx, Apache, Caddy and HAProxy, in a real browser: the proxy asks the login service who is signed in
// (examples/reverse-proxies), and the application reads it from headers.

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { createCertificateAuthority } from "../../scripts/servers/certificates.ts";
import { startBrowser } from "../../scripts/servers/chromium.ts";
import { freePort } from "../../scripts/servers/ports.ts";
import { type ProxyName, startReverseProxy } from "../../scripts/servers/reverse-proxy.ts";
import {
  type LoginServiceWorld,
  openLoginServiceWorld,
  password,
  personLdif,
} from "../e2e/login-service-world.ts";

const names: ProxyName[] = ["nginx", "apache", "caddy", "haproxy"];
const running = new AsyncDisposableStack();
let ports: Record<ProxyName, number>;
let world: LoginServiceWorld;
let browser: Browser;

beforeAll(async () => {
  const free = await Promise.all(names.map(() => freePort()));
  ports = Object.fromEntries(names.map((name, index) => [name, free[index] ?? 0])) as typeof ports;
  const application = await startApplication();
  running.defer(() => void application.close());
  const people = [...names.map((name) => `ada-${name}`), "ben", "cleo", "dan"];
  const ldif = people.map((uid) => personLdif(uid, uid === "dan" ? "Dän, Zoë 山" : uid)).join("");
  world = await openLoginServiceWorld(ldif, {
    PUBLIC_URL: loginUrl(),
    APPLICATIONS: names.map((name) => wiki(name)).join(","),
    COOKIE_DOMAIN: "example.org",
  });
  running.defer(() => world.stop());
  const certificate = createCertificateAuthority().issue({ names: ["*.example.org"] });
  for (const name of names) {
    const proxy = await startReverseProxy(name, {
      certificate,
      port: ports[name],
      loginServicePort: Number(new URL(world.url).port),
      applicationPort: (application.address() as AddressInfo).port,
    });
    running.defer(() => proxy.stop());
  }
  browser = await startBrowser({ hosts: "*.example.org" });
  running.defer(() => browser.close());
});
afterAll(() => running.disposeAsync());

const loginUrl = () => `https://login.example.org:${ports.nginx}`;
const wiki = (name: ProxyName) => `https://wiki.example.org:${ports[name]}`;

/** Shows the headers that reached it. */
async function startApplication(): Promise<Server> {
  const server = createServer((request, response) => {
    const header = (name: string) =>
      Buffer.from(String(request.headers[name] ?? ""), "latin1").toString("utf8");
    response.setHeader("content-type", "text/plain; charset=utf-8");
    response.end(
      `application ${request.url} for <${header("remote-user")}> <${header("remote-name")}> <${header("remote-email")}>`,
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function openPage(): Promise<Page> {
  const context = await browser.newContext({ javaScriptEnabled: false, ignoreHTTPSErrors: true });
  onTestFinished(() => context.close());
  context.setDefaultTimeout(20_000);
  return context.newPage();
}

const textOf = (page: Page) => page.locator("body").innerText();

async function signIn(page: Page, username: string): Promise<void> {
  await page.waitForURL(`${loginUrl()}/sign-in?*`);
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

test.each(names)("%s: to the sign-in page, and back to the page that was wanted", async (name) => {
  const user = `ada-${name}`;
  const page = await openPage();
  await page.goto(`${wiki(name)}/page?x=1&y=%2F`);
  await signIn(page, user);
  await page.waitForURL(`${wiki(name)}/page?x=1&y=%2F`);
  expect(await textOf(page)).toBe(`application /page?x=1&y=%2F for <${user}> <${user}> <>`);

  // A browser that says itself who it is.
  await page.setExtraHTTPHeaders({ "Remote-User": "eve", "Remote-Email": "eve@example.org" });
  await page.goto(`${wiki(name)}/other`);
  expect(await textOf(page)).toBe(`application /other for <${user}> <${user}> <>`);

  await page.setExtraHTTPHeaders({});
  await page.goto(`${loginUrl()}/`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(`${wiki(name)}/other`);
  await page.waitForURL(`${loginUrl()}/sign-in?*`);
});

test.each(names)("%s: a header that says who it is lets nobody in", async (name) => {
  const page = await openPage();
  await page.setExtraHTTPHeaders({ "Remote-User": "eve" });
  await page.goto(`${wiki(name)}/page`);
  await page.waitForURL(`${loginUrl()}/sign-in?*`);
});

test("the second factor stands between, and the password alone opens no application", async () => {
  const { phone } = await world.enroll("ben");
  const page = await openPage();
  await page.goto(`${wiki("nginx")}/page`);
  await signIn(page, "ben");
  await page.getByLabel("Code").waitFor();
  await page.goto(`${wiki("nginx")}/page`);
  await page.waitForURL(`${loginUrl()}/sign-in?*`);
  await page.goto(`${loginUrl()}/sign-in/code`);
  await page.getByLabel("Code").fill(await phone.code());
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL(`${wiki("nginx")}/page`);
  expect(await textOf(page)).toContain("<ben>");
});

test("after a backup code the page says how many are left, and then leads on", async () => {
  const { backupCodes } = await world.enroll("cleo");
  const page = await openPage();
  await page.goto(`${wiki("nginx")}/page`);
  await signIn(page, "cleo");
  await page.getByRole("link", { name: "Use a backup code" }).click();
  await page.getByLabel("Backup code").fill(backupCodes[0] ?? "");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("You have 9 left").waitFor();
  await page.getByRole("link", { name: "Continue to wiki.example.org" }).click();
  await page.waitForURL(`${wiki("nginx")}/page`);
});

test("names of any script reach the application as UTF-8", async () => {
  const page = await openPage();
  await page.goto(`${wiki("nginx")}/`);
  await signIn(page, "dan");
  await page.waitForURL(`${wiki("nginx")}/`);
  for (const name of names) {
    await page.goto(`${wiki(name)}/`);
    expect(await textOf(page), name).toBe("application / for <dan> <Dän, Zoë 山> <>");
  }
});
