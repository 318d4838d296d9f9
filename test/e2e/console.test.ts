// The mission's path in the console, in a real browser, by its words: without JavaScript, at desktop and phone width, with the
// keyboard; and what axe finds on every page in the light and in the dark.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { startBrowser } from "../../scripts/servers/chromium.ts";
import { type ConsoleWorld, openConsoleWorld, passwordOf } from "../console/console-world.ts";
import { secretOf } from "../verification/verification-world.ts";

let world: ConsoleWorld;
let browser: Browser;
let axe: string;
beforeAll(async () => {
  [world, browser, axe] = await Promise.all([
    openConsoleWorld(),
    startBrowser(),
    readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"),
  ]);
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await world?.close();
});

const desktop = { viewport: { width: 1280, height: 800 } };
const phone = { viewport: { width: 360, height: 740 } };

async function openPage(options: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext({ javaScriptEnabled: false, ...options });
  onTestFinished(() => context.close());
  return context.newPage();
}

async function typePassword(page: Page, uid: string): Promise<void> {
  await page.goto(`${world.url}/sign-in`);
  await page.getByLabel("User name").fill(uid);
  await page.getByLabel("Password").fill(passwordOf(uid));
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Registers the device on the page that shows its secret; the secret is the app's from then on. */
async function confirmDevice(page: Page, uid: string): Promise<string[]> {
  const key = (await page.locator(".secret").textContent()) ?? "";
  world.secrets.set(uid, secretOf(key.replaceAll(" ", "")));
  await page.getByLabel("Type the six digits that it shows").fill(nextCode(uid));
  await page.getByRole("button", { name: "Enable" }).click();
  return page.locator(".codes code").allTextContents();
}

/** The code that the app shows in the next half minute: each works once. */
function nextCode(uid: string): string {
  world.clock.step();
  const secret = world.secrets.get(uid);
  if (!secret) throw new Error(`${uid} has no device`);
  return world.codeOf({ secret });
}

const heading = (page: Page) => page.getByRole("heading", { level: 1 }).textContent();

test.each([
  ["carol", "desktop", desktop],
  ["bob", "phone", phone],
] as const)("%s enables MFA, signs in, regenerates, replaces and disables, on a %s", async (uid, _, size) => {
  const page = await openPage(size);
  await typePassword(page, uid);
  await expectWords(page, "Enable Multi-Factor Authentication");
  await page.getByRole("button", { name: "Register Device" }).click();
  await expectWords(page, "Open it in the app");
  const codes = await confirmDevice(page, uid);
  expect(codes).toHaveLength(4);
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download" }).click();
  const file = await download;
  expect(file.suggestedFilename()).toBe("backup-codes.txt");
  expect(await readFile(await file.path(), "utf8")).toBe(`${codes.join("\n")}\n`);
  await page.getByRole("link", { name: "I have kept them" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();

  await typePassword(page, uid);
  await page.getByLabel("Code").fill("000000");
  await page.getByRole("button", { name: "Continue" }).click();
  await expectWords(page, "This code was not accepted");
  await page.getByRole("link", { name: "Use backup code" }).click();
  await page.getByLabel("Backup code").fill(codes[0]?.toLowerCase() ?? "");
  await page.getByRole("button", { name: "Continue" }).click();
  expect(await heading(page)).toBe("Settings");
  await expectWords(page, "Backup code: accepted");

  await page.getByText("Regenerate Backup Codes").first().click();
  await page
    .getByRole("group")
    .filter({ hasText: "All the old ones" })
    .getByLabel("Code from your app")
    .fill("000000");
  await page.getByRole("button", { name: "Regenerate Backup Codes" }).click();
  // A refused code folds nothing shut.
  await expectWords(page, "This code was not accepted");
  await page.locator("[aria-invalid]").fill(nextCode(uid));
  await page.getByRole("button", { name: "Regenerate Backup Codes" }).click();
  expect(await heading(page)).toBe("Your backup codes");
  const fresh = await page.locator(".codes code").allTextContents();
  await page.getByRole("link", { name: "I have kept them" }).click();

  await page.getByText("Use backup code to register a device").click();
  await page.locator("#code-device-by-backup-code").fill(fresh[1] ?? "");
  await page.getByRole("button", { name: "Use backup code" }).click();
  expect(await heading(page)).toBe("Register Device");
  await confirmDevice(page, uid);
  await page.getByRole("link", { name: "I have kept them" }).click();

  await page.getByText("Disable Multi-Factor Authentication").first().click();
  await page.locator("#code-disable").fill(nextCode(uid));
  await page.getByRole("button", { name: "Disable Multi-Factor Authentication" }).click();
  await expectWords(page, "Multi-factor authentication is off");
});

test("an admin requires MFA of a user, and disables it; the help desk hands out a pass", async () => {
  const alice = await openPage(desktop);
  await typePassword(alice, "alice");
  await alice.getByRole("button", { name: "Register Device" }).click();
  await confirmDevice(alice, "alice");
  await alice.getByRole("link", { name: "Users" }).click();
  await alice.getByLabel("Search").fill("arth");
  await alice.getByRole("button", { name: "Show" }).click();
  await alice.getByRole("link", { name: "arthur" }).click();
  await alice.getByRole("button", { name: "MFA (required): Enable" }).click();
  await expectWords(alice, "Required: an admin requires it.");
  await alice.getByLabel("Of this user").selectOption("false");
  await alice.getByRole("button", { name: "MFA (required): Update" }).click();
  await expectWords(alice, "Not required.");

  const helen = await openPage(phone);
  await typePassword(helen, "helen");
  await helen.getByRole("button", { name: "Register Device" }).click();
  await confirmDevice(helen, "helen");
  await helen.getByRole("link", { name: "Users" }).click();
  await helen.getByRole("link", { name: "arthur" }).click();
  expect(await helen.getByRole("button", { name: "MFA" }).count()).toBe(0);
  await helen.getByLabel("I called them back").check();
  await helen.getByRole("button", { name: "Hand out an enrollment pass" }).click();
  await expectWords(helen, "It works once");
  const events = await world.events(await world.idOf("arthur"));
  expect(events.at(-1)).toMatchObject({
    action: "enrollment-pass-issue",
    details: { identified: "called-back" },
  });

  await alice.goto(`${world.url}/users/${await world.idOf("helen")}`);
  await alice.getByLabel("End it without a code").check();
  await alice.getByRole("button", { name: "MFA: Disable" }).click();
  await expectWords(alice, "MFA is disabled.");
  await helen.goto(`${world.url}/users`);
  expect(await heading(helen)).toBe("Sign in");
});

test("the keyboard alone signs in, and reaches the content first", async () => {
  const page = await openPage(desktop);
  await page.goto(`${world.url}/sign-in`);
  await page.locator("input[name=username]:focus").waitFor();
  await page.keyboard.type("alan");
  await page.keyboard.press("Tab");
  await page.keyboard.type(passwordOf("alan"));
  await page.keyboard.press("Enter");
  await page.waitForURL("**/settings");
  await page.keyboard.press("Tab");
  expect(await page.getByText("Skip to the content").boundingBox()).toMatchObject({ x: 8 });
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByText("By hand").waitFor();
});

const looks = [
  { ...desktop, colorScheme: "light" },
  { ...phone, colorScheme: "dark" },
] as const;

test("axe finds nothing on any page, and nothing sticks out at the side", { timeout: 180_000 }, async () => {
  const alan = await world.signIn("alan");
  const owesCode = world.visitor();
  await owesCode.get("/sign-in");
  await owesCode.post("/sign-in", { username: "alan", password: passwordOf("alan") });
  const [run] = await world.database.db("sync_runs").select("id");
  const id = await world.idOf("alan");
  // Whoever has come as far as each page; the start is none, and files are not looked at.
  const pages = world.console.routes
    .filter(({ method, path }) => method === "GET" && !/csv|jsonl|^\/$/.test(path))
    .map(({ path, who }) => ({
      path: path.replace("/runs/:id", `/runs/${run.id}`).replace(":id", id).replace(":name", "main"),
      cookie: { everybody: "", challenge: owesCode.cookie }[String(who)] ?? alan.cookie,
    }));
  pages.push({ path: "/nothing-there", cookie: "" });
  for (const look of looks) {
    const context = await browser.newContext({ ...look, bypassCSP: true, userAgent: "test" });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    for (const { path, cookie } of pages) {
      await context.clearCookies();
      const [name = "", value = ""] = cookie.split("=");
      if (name) await context.addCookies([{ name, value, url: world.url }]);
      await page.goto(world.url + path);
      expect(page.url()).toBe(world.url + path); // and not led elsewhere
      await expectNoFaults(page, path);
    }
  }
});

test("nor on those that a form leads to", { timeout: 180_000 }, async () => {
  for (const [look, uid] of [
    [looks[0], "dave"],
    [looks[1], "erin"],
  ] as const) {
    const context = await browser.newContext({ ...look, bypassCSP: true, userAgent: "test" });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(`${world.url}/sign-in`);
    await page.getByLabel("User name").fill(uid);
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expectWords(page, "is not right");
    await expectNoFaults(page, "a wrong password");
    await typePassword(page, uid);
    await expectWords(page, "Enable Multi-Factor Authentication");
    await expectNoFaults(page, "settings of who must enroll");
    await page.getByRole("button", { name: "Register Device" }).click();
    await expectWords(page, "Open it in the app");
    await expectNoFaults(page, "a device to register");
    await confirmDevice(page, uid);
    await expectWords(page, "I have kept them");
    await expectNoFaults(page, "backup codes");
    await page.getByRole("link", { name: "I have kept them" }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    expect(await heading(page)).toBe("Sign in");
    // Neither the settings nor, before them, the codes are kept for whoever sits down next.
    for (const back of [1, 2]) {
      await page.goBack().catch(() => undefined); // the browser has nothing to show, and says so as an error
      expect([back, await page.locator(".codes, .facts").count()]).toEqual([back, 0]);
    }
  }
});

async function expectNoFaults(page: Page, which: string): Promise<void> {
  expect([which, await faultsOf(page)]).toEqual([which, []]);
  const wide = await page.evaluate(
    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
  );
  expect([which, wide]).toEqual([which, 0]);
}

async function faultsOf(page: Page): Promise<unknown[]> {
  await page.evaluate(axe);
  return page.evaluate(
    "axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) => [id, impact, nodes[0].html]))",
  );
}

async function expectWords(page: Page, words: string): Promise<void> {
  await page.getByText(words).first().waitFor({ timeout: 10_000 });
}
