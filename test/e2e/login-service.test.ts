// The mission's user stories in a real browser, without JavaScript, through the example login service. Each story has users of its
// own, since a code works once in its 30 seconds.

import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { startBrowser } from "../../scripts/servers/chromium.ts";
import { ensureServers } from "../../scripts/servers/install-servers.ts";
import { type Phone, phoneWith } from "../support/phone.ts";
import {
  issuer,
  type LoginServiceWorld,
  openLoginServiceWorld,
  password,
  personLdif,
  succeeds,
} from "./login-service-world.ts";

const hostileName = `<b>Eve</b> & "co" <script>alert(1)</script>`;
const awkward = { uid: "zoë.ünal/山田", cn: 'Ünal, Zoë "Z"', rdn: 'cn=Ünal\\, Zoë \\"Z\\"' };

let world: LoginServiceWorld;
let browser: Browser;
beforeAll(async () => {
  const people = [
    "ada",
    "ben",
    "cleo",
    "dan",
    "ed",
    "flo",
    "fred",
    "gus",
    "ida",
    "kim",
    "pat",
    "quin",
    "rob",
  ].map((uid) => personLdif(uid));
  const ldif = [
    ...people,
    personLdif("eve", hostileName),
    personLdif(awkward.uid, awkward.cn, awkward.rdn),
  ].join("");
  [world, browser] = await Promise.all([openLoginServiceWorld(ldif), startBrowser()]);
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await world?.stop();
});

const idlePages: Page[] = [];

/** A browser of a person's own, at a phone's size. Used again by later tests, without cookies, as making one is slow. */
async function openPage(): Promise<Page> {
  const page = idlePages.pop() ?? (await newPage());
  onTestFinished(async () => {
    await page.context().clearCookies();
    idlePages.push(page);
  });
  return page;
}

async function newPage(): Promise<Page> {
  const context = await browser.newContext({
    javaScriptEnabled: false,
    viewport: { width: 360, height: 740 },
  });
  context.setDefaultTimeout(10_000); // all of it is on this machine
  return context.newPage();
}

/** Presses a button or a link, and waits for the page that it leads to. */
async function follow(page: Page, role: "button" | "link", name: string): Promise<void> {
  await Promise.all([
    page.waitForEvent("domcontentloaded"),
    page.getByRole(role, { name, exact: true }).click(),
  ]);
}

async function typePassword(page: Page, username: string, typed = password): Promise<void> {
  await page.goto(`${world.url}/sign-in`);
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(typed);
  await follow(page, "button", "Sign in");
}

async function typeCode(page: Page, label: string, code: string, button = "Continue"): Promise<void> {
  await page.getByLabel(label).filter({ visible: true }).fill(code);
  await follow(page, "button", button);
}

/** What the enrollment page says to the person who cannot scan. */
async function phoneFromPage(page: Page): Promise<Phone> {
  await page.getByText("I cannot scan it").click();
  return phoneWith(((await page.locator(".secret").textContent()) ?? "").replaceAll(" ", ""));
}

async function openSetting(page: Page, name: string): Promise<void> {
  await page.goto(`${world.url}/settings`);
  await page.locator("summary", { hasText: name }).click();
}

const confirmLabel = "Type the code that it shows";
const heading = (page: Page) => page.getByRole("heading").innerText();
const problem = (page: Page) => page.getByRole("alert").innerText();
const text = async (page: Page) => ((await page.locator("main").textContent()) ?? "").replace(/\s+/g, " ");
const shownCodes = (page: Page) => page.locator(".codes li").allInnerTexts();
const signOut = (page: Page) => follow(page, "button", "Sign out");
const sessionIdOf = async (page: Page) => (await page.context().cookies())[0]?.value;

test("a user turns MFA on in the settings, and then signs in with a code, which works once", async () => {
  const page = await openPage();
  await typePassword(page, "ada");
  expect(await heading(page)).toBe("Hello, ada Test");
  await follow(page, "link", "Settings");
  await follow(page, "button", "Turn on");
  const phone = await phoneFromPage(page);
  await typeCode(page, confirmLabel, "000000", "Turn on");
  expect(await problem(page)).toMatch(/not accepted/);
  await typeCode(page, confirmLabel, await phone.code(), "Turn on");
  expect(await shownCodes(page)).toHaveLength(10);
  await follow(page, "link", "I have kept them");
  await follow(page, "link", "Settings");
  expect(await text(page)).toMatch(/is on since .* Backup codes left: 10/);
  await signOut(page);

  const code = await phone.code();
  await typePassword(page, "ADA"); // as the directory compares names
  expect(await heading(page)).toBe("Enter your code");
  await typeCode(page, "Code", code);
  expect(await heading(page)).toBe("Hello, ada Test");
  await signOut(page);
  await typePassword(page, "ada");
  await typeCode(page, "Code", code);
  expect(await problem(page)).toMatch(/not accepted/);
});

test("a backup code lets in once; regenerating them ends the old ones", async () => {
  const { phone, backupCodes } = await world.enroll("ben");
  const [first = "", second = ""] = backupCodes;
  const page = await openPage();
  const typeBackupCode = async (code: string) => {
    await typePassword(page, "ben");
    await follow(page, "link", "Use a backup code");
    await typeCode(page, "Backup code", code);
  };
  await typeBackupCode(first.toLowerCase().replaceAll("-", " "));
  expect(await text(page)).toMatch(/You used a backup code. You have 9 left/);
  await signOut(page);
  await typeBackupCode(first);
  expect(await problem(page)).toMatch(/not accepted/);

  await typePassword(page, "ben");
  await typeCode(page, "Code", await phone.code());
  await openSetting(page, "New backup codes");
  await typeCode(page, "Code from your app", second, "New backup codes"); // a backup code does not do
  expect(await problem(page)).toMatch(/not accepted/);
  // A refused code does not fold its form shut.
  await typeCode(page, "Code from your app", await phone.code(), "New backup codes");
  const shown = await shownCodes(page);
  const [fresh = ""] = shown;
  expect(await page.getByLabel("To copy").inputValue()).toBe(shown.join("\n"));
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download as a text file" }).click();
  const file = await download;
  expect([file.suggestedFilename(), await readFile(await file.path(), "utf8")]).toEqual([
    "backup-codes.txt",
    `${shown.join("\n")}\n`,
  ]);
  await page.emulateMedia({ media: "print" });
  expect(await page.getByRole("link", { name: "I have kept them" }).isVisible()).toBe(false);
  expect(await page.locator(".codes").isVisible()).toBe(true);
  await page.emulateMedia({ media: null });
  await signOut(page);
  await typeBackupCode(second);
  expect(await problem(page)).toMatch(/not accepted/);
  await typeBackupCode(fresh);
  expect(await heading(page)).toBe("Hello, ben Test");
});

test("a user turns MFA off with a code, and signs in with the password alone", async () => {
  const { phone } = await world.enroll("cleo");
  const page = await openPage();
  await typePassword(page, "cleo");
  await typeCode(page, "Code", await phone.code());
  await openSetting(page, "Turn off");
  await typeCode(page, "Code from your app", await phone.code(), "Turn off");
  expect(await text(page)).toMatch(/Two-step sign-in is off/);
  await signOut(page);
  await typePassword(page, "cleo");
  expect(await heading(page)).toBe("Hello, cleo Test");
});

test("a user changes to another phone; until it is confirmed the old one works, afterwards it does not", async () => {
  const { phone: old } = await world.enroll("dan");
  const page = await openPage();
  await typePassword(page, "dan");
  await typeCode(page, "Code", await old.code());
  await openSetting(page, "Change to another phone");
  await typeCode(page, "Code from your app", await old.code(), "Change to another phone or app");
  const next = await phoneFromPage(page);
  expect(next.secret).not.toBe(old.secret);
  await typeCode(page, confirmLabel, await next.code(), "Turn on");
  expect(await shownCodes(page)).toHaveLength(10);
  await signOut(page);
  await typePassword(page, "dan");
  await typeCode(page, "Code", await next.code());
  expect(await heading(page)).toBe("Hello, dan Test");
});

test("a new LDAP user must enroll, and again after an admin has disabled MFA", async () => {
  await world.slapd.add(personLdif("new"));
  await succeeds(world.installation, "sync");
  const page = await openPage();
  await typePassword(page, "new");
  expect(await heading(page)).toBe("Protect your account");
  expect(await page.getByRole("button", { name: "Later" }).count()).toBe(0);
  for (const path of ["/", "/settings", "/sign-in/code"]) {
    await page.goto(world.url + path);
    expect(page.url()).toBe(`${world.url}/enrollment`);
  }
  await follow(page, "button", "Set it up");
  const phone = await phoneFromPage(page);
  await typeCode(page, confirmLabel, await phone.code(), "Turn on");
  await follow(page, "link", "I have kept them");
  await follow(page, "link", "Settings");
  expect(await text(page)).toMatch(/cannot be turned off/);
  await signOut(page);

  await succeeds(world.installation, "user", "disable-mfa", "new");
  await typePassword(page, "new");
  expect(await heading(page)).toBe("Protect your account");
  await follow(page, "button", "Set it up");
  const next = await phoneFromPage(page);
  await typeCode(page, confirmLabel, await next.code(), "Turn on");
  expect(await shownCodes(page)).toHaveLength(10);
});

test("where enrollments take a pass, it is asked for in both places, and the password alone enrolls nobody", async () => {
  await world.sql("update mfa_policy set enrollment_pass = true");
  onTestFinished(() => world.sql("update mfa_policy set enrollment_pass = false"));
  const passFor = async (username: string): Promise<string> =>
    (await world.installation.json("user", "pass", username)).enrollmentPass;
  await world.slapd.add(personLdif("nina"));
  await succeeds(world.installation, "sync");
  const page = await openPage();
  await typePassword(page, "nina");
  expect(await heading(page)).toBe("Protect your account");
  const pass = await passFor("nina");
  await typeCode(page, "Enrollment pass", "AAAA-AAAA-AAAA-AAAA", "Set it up");
  expect(await problem(page)).toMatch(/This pass was not accepted/);
  await typeCode(page, "Enrollment pass", pass.toLowerCase(), "Set it up");
  const phone = await phoneFromPage(page);
  await typeCode(page, confirmLabel, await phone.code(), "Turn on");
  expect(await shownCodes(page)).toHaveLength(10);

  // From the settings, by a user of whom nothing is asked.
  const another = await openPage();
  await typePassword(another, "rob");
  await another.goto(`${world.url}/settings`);
  await typeCode(another, "Enrollment pass", "AAAA-AAAA-AAAA-AAAA", "Turn on");
  expect(await problem(another)).toMatch(/This pass was not accepted/);
  await typeCode(another, "Enrollment pass", await passFor("rob"), "Turn on");
  const robs = await phoneFromPage(another);
  await typeCode(another, confirmLabel, await robs.code(), "Turn on");
  expect(await heading(another)).toBe("Keep your backup codes");
});

test("a pass that is asked for in the middle of an enrollment is asked for before the code", async () => {
  const page = await openPage();
  await world.slapd.add(personLdif("olga"));
  await succeeds(world.installation, "sync");
  await typePassword(page, "olga");
  await follow(page, "button", "Set it up");
  const phone = await phoneFromPage(page);
  await world.sql("update mfa_policy set enrollment_pass = true");
  onTestFinished(() => world.sql("update mfa_policy set enrollment_pass = false"));
  await typeCode(page, confirmLabel, await phone.code(), "Turn on");
  expect(await heading(page)).toBe("Protect your account");
  expect(await page.getByLabel("Enrollment pass").count()).toBe(1);
});

test("a user may defer until the deadline, and not after it", async () => {
  const page = await openPage();
  const setDeadline = (days: number) =>
    world.sql(`update users set required_by_admin = true, required_since = now() - interval '9 days',
      enrollment_deadline = now() + interval '${days} days' where username_key = 'kim'`);
  await setDeadline(7);
  await typePassword(page, "kim");
  expect(await text(page)).toMatch(/You have until/);
  await follow(page, "button", "Later");
  expect(await heading(page)).toBe("Hello, kim Test");
  await signOut(page);
  await typePassword(page, "kim");
  await setDeadline(-1);
  await follow(page, "button", "Later");
  expect(await heading(page)).toBe("Protect your account");
});

test("after five wrong codes no code of the app is taken, and a backup code still is", async () => {
  const { phone, backupCodes } = await world.enroll("fred");
  const page = await openPage();
  await typePassword(page, "fred");
  for (let attempt = 0; attempt < 5; attempt++) await typeCode(page, "Code", "000000");
  expect(await problem(page)).toMatch(/too many wrong codes from your app. Try again in/);
  const answer = world.dirmfa.verify({ username: "fred", totp: await phone.code() });
  await expect(answer).rejects.toMatchObject({ code: "locked-out" });

  await follow(page, "link", "Use a backup code");
  for (let attempt = 0; attempt < 4; attempt++) await typeCode(page, "Backup code", "XXXX-XXXX-XXXX");
  await typeCode(page, "Backup code", backupCodes[0] ?? "");
  expect(await heading(page)).toBe("Hello, fred Test");
});

test("a user locked out of every kind of code is told so after the password, and is not signed in", async () => {
  await world.enroll("gus");
  await world.sql(`update lockouts set locked_until = now() + interval '3 hours'
    where user_id = (select id from users where username_key = 'gus')`);
  const page = await openPage();
  await typePassword(page, "gus");
  expect(await heading(page)).toBe("Paused");
  expect(await problem(page)).toMatch(/Try again in 3 hours/);
  await page.goto(world.url);
  expect(await heading(page)).toBe("Sign in");
});

test("a wrong password, an unknown user, no password and a wildcard are all the same", async () => {
  const page = await openPage();
  const pages = new Set<string>();
  for (const [username, typed] of [
    ["ada", "wrong"],
    ["nobody", password],
    ["ada", " "],
    ["ad*", password],
    ["*)(uid=ada", password],
    ["ada\\2a", password],
  ] as const) {
    await typePassword(page, username, typed);
    pages.add(await text(page));
  }
  expect([...pages]).toEqual([expect.stringContaining("The user name or the password is not right.")]);
});

test("the QR code as Chromium draws it is the URI, which names issuer and user, however awkward they are", async () => {
  const page = await openPage();
  await typePassword(page, awkward.uid);
  expect(await heading(page)).toBe(`Hello, ${awkward.cn}`);
  await page.goto(`${world.url}/settings`);
  await follow(page, "button", "Turn on");
  const { zbarimg = "" } = await ensureServers(["zbar"]);
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-qr-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "qr.png");
  await page.locator(".qr").screenshot({ path });
  const { stdout } = await promisify(execFile)(zbarimg, ["--quiet", "--raw", path]);
  const uri = new URL(stdout.trim());
  const link = page.getByRole("link", { name: "Open it in the app" });
  // On a phone the app is on this one: the link is above the picture.
  const places = [await link.boundingBox(), await page.locator(".qr").boundingBox()];
  expect(places[0]?.y).toBeLessThan(places[1]?.y ?? 0);
  expect(await link.getAttribute("href")).toBe(stdout.trim());
  expect(decodeURIComponent(uri.pathname)).toBe(`/${issuer}:${awkward.uid}`);
  expect(uri.searchParams.get("issuer")).toBe(issuer);
});

test("names from the directory are text, never markup", async () => {
  const page = await openPage();
  await typePassword(page, "eve");
  expect(await heading(page)).toBe(`Hello, ${hostileName}`);
  expect(await page.locator("script").count()).toBe(0);
});

test("each step has a new session id, and earlier ones are worth nothing", async () => {
  const { phone } = await world.enroll("ida");
  const page = await openPage();
  await page.goto(world.url);
  const ids = [await sessionIdOf(page)];
  await typePassword(page, "ida");
  ids.push(await sessionIdOf(page));
  await typeCode(page, "Code", await phone.code());
  ids.push(await sessionIdOf(page));
  const [visitor, halfway, signedIn] = ids;
  expect(new Set(ids).size).toBe(3);
  const titleFor = async (id: string | undefined, path: string) => {
    const answer = await fetch(world.url + path, { headers: { cookie: `session=${id}` } });
    return /<h1>(.*)<\/h1>/.exec(await answer.text())?.[1];
  };
  expect(await titleFor(signedIn, "/settings")).toBe("Two-step sign-in");
  for (const old of [visitor, halfway]) expect(await titleFor(old, "/settings")).toBe("Sign in");
  await signOut(page);
  expect(await titleFor(signedIn, "/settings")).toBe("Sign in");
});

test("a name that goes to somebody else in the middle opens nothing of theirs", async () => {
  await world.enroll("pat");
  const halfway = await openPage();
  await typePassword(halfway, "pat");
  const signedIn = await openPage();
  await typePassword(signedIn, "quin");
  // As a sync does when both are renamed; whoever has a name now has no MFA, or is asked for it.
  await world.sql(`update users set username = 'gone', username_key = 'gone' where username_key = 'pat'`);
  await world.sql(`update users set username = 'pat', username_key = 'pat' where username_key = 'quin'`);
  await world.sql(`update users set username = 'quin', username_key = 'quin' where username_key = 'gone'`);
  await halfway.goto(`${world.url}/sign-in/code`);
  expect(await heading(halfway)).toBe("No access");
  await halfway.goto(world.url);
  expect(await heading(halfway)).toBe("Sign in");
  await signedIn.goto(`${world.url}/settings`);
  expect(await heading(signedIn)).toBe("No access");
});

test("half-way in, with the password alone, every page leads to the code", async () => {
  await world.enroll("ed");
  const page = await openPage();
  await typePassword(page, "ed");
  for (const path of ["/", "/settings", "/enrollment"]) {
    await page.goto(world.url + path);
    expect(page.url()).toBe(`${world.url}/sign-in/code`);
  }
  const csrf = await page.locator("[name=csrf]").first().inputValue();
  const cookie = `session=${await sessionIdOf(page)}`;
  const posts = [
    "/enrollment",
    "/enrollment/confirm",
    "/settings/disable",
    "/settings/backup-codes",
    "/sign-in/later",
  ];
  for (const path of posts) {
    const body = new URLSearchParams({ csrf, code: "000000" });
    const answer = await fetch(world.url + path, {
      method: "POST",
      body,
      headers: { cookie },
      redirect: "manual",
    });
    expect([path, answer.status, answer.headers.get("location")]).toEqual([path, 303, "/sign-in/code"]);
  }
});

test("a form without its token, or with another visitor's, changes nothing", async () => {
  const page = await openPage();
  await page.goto(`${world.url}/sign-in`);
  const foreign = await page.locator("[name=csrf]").inputValue();
  const own = await fetch(`${world.url}/sign-in`);
  const cookie = own.headers.get("set-cookie") ?? "";
  expect(cookie).toMatch(/^session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
  for (const csrf of ["", "x", foreign]) {
    const body = new URLSearchParams({ csrf, username: "eve", password });
    const answer = await fetch(`${world.url}/sign-in`, { method: "POST", body, headers: { cookie } });
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain("out of date");
  }
});

test("an address where nothing is, is not out of date", async () => {
  const answer = await fetch(`${world.url}/nothing-there`);
  expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining("No such page")]);
});

test("pages run no scripts, are not framed and are kept nowhere", async () => {
  const { headers } = await fetch(`${world.url}/sign-in`);
  expect(headers.get("content-security-policy")).toMatch(/^default-src 'none';.*frame-ancestors 'none'/);
  expect(headers.get("content-security-policy")).not.toMatch(/script-src|unsafe/);
  expect(headers.get("cache-control")).toBe("no-store");
});

test("a link from elsewhere finds the user signed in", async () => {
  const page = await openPage();
  await typePassword(page, "eve");
  await page.goto("about:blank");
  await page.setContent(`<a href="${world.url}/settings">settings</a>`);
  await page.getByRole("link").click();
  await page.getByRole("heading", { name: "Two-step sign-in" }).waitFor();
});

test("while the directory is down nobody gets in, and who is in stays", async () => {
  const page = await openPage();
  await typePassword(page, "eve");
  await world.slapd.kill();
  try {
    const other = await openPage();
    await typePassword(other, "eve");
    expect(await heading(other)).toBe("Not available");
    await page.goto(`${world.url}/settings`);
    expect(await heading(page)).toBe("Two-step sign-in");
  } finally {
    await world.slapd.restart();
  }
});

// The last one, since the daemon does not come back.
test("while dirmfa is down the page says so and nobody gets in, not even half-way", async () => {
  const { phone } = await world.enroll("flo");
  const halfway = await openPage();
  await typePassword(halfway, "flo");
  world.daemon.kill("SIGKILL");
  await once(world.daemon, "exit");
  await typeCode(halfway, "Code", await phone.code());
  expect(await heading(halfway)).toBe("Not available");

  const page = await openPage();
  for (const username of ["eve", "flo"]) {
    await typePassword(page, username);
    expect(await heading(page)).toBe("Not available");
    await page.goto(world.url);
    expect(await heading(page)).toBe("Sign in");
  }
});
