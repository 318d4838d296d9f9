// `npm run screenshots`: starts the demo in a folder of its own, does what its people would do in a real Chromium, and writes the
// pictures of docs/console.md. Prints how long the case of a lost phone took, typed at the pace of a person.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Browser, Locator, Page } from "playwright-core";
import { parse } from "yaml";
import { demoPassword } from "./demo/folder.ts";
import { startBrowser } from "./servers/chromium.ts";

const run = promisify(execFile);
const images = resolve(import.meta.dirname, "../docs/images");
const stepMs = 30_000;
// Ten keys a second: somebody who types all day.
const keyMs = 100;

const desktop = { viewport: { width: 1120, height: 600 } };
const phone = { viewport: { width: 390, height: 780 } };

interface Demo {
  process: ChildProcess;
  folder: string;
  console: string;
  api: string;
}

/** By user name: the secret in the app, and the last time step whose code was used. */
const apps = new Map<string, { secret: Buffer; usedStep: number }>();

async function startDemo(folder: string): Promise<Demo> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "demo.ts"), "--folder", folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    printed += chunk.toString();
  });
  for (let left = 6000; left > 0; left -= 1) {
    const address = /(http:\S+)\/(?= +the console)/.exec(printed)?.[1];
    if (address !== undefined) {
      const config = parse(await readFile(join(folder, "dirmfa.yaml"), "utf8"));
      return { process: child, folder, console: address, api: `http://${config.http.listen}` };
    }
    if (child.exitCode !== null) break;
    await sleep(100);
  }
  child.kill("SIGTERM");
  throw new Error(`the demo did not start:\n${printed}`);
}

async function stopDemo({ process: child }: Demo): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGINT");
  await gone;
}

async function callApi(demo: Demo, role: "login" | "admin", path: string, body: unknown): Promise<Answer> {
  const token = await readFile(join(demo.folder, `${role}.token`), "utf8");
  const answer = await fetch(demo.api + path, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  return (await answer.json()) as Answer;
}

/** What is read of answers. */
interface Answer {
  secret?: string;
}

function keepSecret(uid: string, base32: string): void {
  const bits = Array.from(base32.replaceAll(" ", ""), (letter) =>
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0"),
  ).join("");
  const bytes = (bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
  apps.set(uid, { secret: Buffer.from(bytes), usedStep: 0 });
}

/** What the app shows (RFC 6238), as soon as it shows one that was not used. */
async function nextCode(uid: string): Promise<string> {
  const app = apps.get(uid);
  if (!app) throw new Error(`${uid} has no app`);
  while (Math.floor(Date.now() / stepMs) <= app.usedStep) await sleep(200);
  app.usedStep = Math.floor(Date.now() / stepMs);
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(app.usedStep));
  const hash = createHmac("sha1", app.secret).update(counter).digest();
  const offset = hash.readUInt8(19) & 15;
  return String((hash.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

async function openPage(browser: Browser, demo: Demo, look: "light" | "dark", size = desktop): Promise<Page> {
  const context = await browser.newContext({ ...size, colorScheme: look, baseURL: demo.console });
  return context.newPage();
}

/** Of the width that the page has, and no higher than what matters of it. */
async function takePicture(page: Page, name: string, height?: number): Promise<void> {
  const size = page.viewportSize() ?? desktop.viewport;
  if (height !== undefined) await page.setViewportSize({ ...size, height });
  await page.screenshot({ path: join(images, `${name}.png`) });
  await page.setViewportSize(size);
}

const type = (field: Locator, text: string) => field.pressSequentially(text, { delay: keyMs });

async function typePassword(page: Page, uid: string): Promise<void> {
  await page.goto("/sign-in");
  await type(page.getByLabel("User name"), uid);
  await type(page.getByLabel("Password"), demoPassword);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function beginDevice(page: Page, uid: string): Promise<void> {
  await page.getByRole("button", { name: "Register Device" }).click();
  keepSecret(uid, (await page.locator(".secret").textContent()) ?? "");
}

async function confirmDevice(page: Page, uid: string): Promise<void> {
  await type(page.getByLabel("Type the six digits that it shows"), await nextCode(uid));
  await page.getByRole("button", { name: "Enable" }).click();
}

async function enroll(page: Page, uid: string): Promise<void> {
  await typePassword(page, uid);
  await beginDevice(page, uid);
  await confirmDevice(page, uid);
  await page.getByRole("link", { name: "I have kept them" }).click();
}

async function findPerson(page: Page, uid: string): Promise<void> {
  await page.getByRole("link", { name: "Users" }).first().click();
  await type(page.getByLabel("Search"), uid);
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByRole("link", { name: uid, exact: true }).click();
}

/** The directories' page names it only between two runs, and the demo has one every 20 seconds. */
async function findHeldRun(demo: Demo): Promise<string> {
  const { stdout } = await run(join(demo.folder, "dirmfa"), [
    "run",
    "list",
    "--status",
    "held",
    "--limit",
    "1",
  ]);
  const id = /^[0-9a-f-]{36}/m.exec(stdout)?.[0];
  if (id === undefined) throw new Error("no run is held");
  return id;
}

/** Some who are enrolled, some who must be, and a run that is held. */
async function fillDemo(demo: Demo): Promise<void> {
  const token = await readFile(join(demo.folder, "admin.token"), "utf8");
  const listed = await fetch(`${demo.api}/v1/admin/users?state=active&limit=36`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const { users } = (await listed.json()) as { users: { username: string }[] };
  for (const [index, { username }] of users.entries()) {
    if (["olga", "henry", "aisha", "jmueller"].includes(username) || index % 3 === 0) continue;
    const { secret = "" } = await callApi(demo, "login", "/v1/enrollment", { username });
    keepSecret(username, secret);
    await callApi(demo, "login", "/v1/enrollment/confirm", { username, totp: await nextCode(username) });
  }
  await callApi(demo, "admin", "/v1/admin/users/mfa-required", { filter: { search: "an" }, required: true });
  await run(join(demo.folder, "vanish.sh"));
  // A held run is exit code 3.
  await run(join(demo.folder, "dirmfa"), ["sync"]).catch(() => undefined);
}

async function takePictures(browser: Browser, demo: Demo): Promise<void> {
  const user = await openPage(browser, demo, "light", phone);
  await typePassword(user, "jmueller");
  await beginDevice(user, "jmueller");
  await takePicture(user, "register-device", 1050);
  await confirmDevice(user, "jmueller");
  await takePicture(user, "backup-codes", 700);
  await user.getByRole("link", { name: "I have kept them" }).click();

  const olga = await openPage(browser, demo, "light");
  await enroll(olga, "olga");
  const henry = await openPage(browser, demo, "light");
  await enroll(henry, "henry");
  await fillDemo(demo);

  await henry.goto("/users?search=an");
  await takePicture(henry, "users");
  // A new page in the dark: what was painted before keeps colors of the light.
  await olga.emulateMedia({ colorScheme: "dark" });
  await olga.goto(`/runs/${await findHeldRun(demo)}`);
  await takePicture(olga, "held-run");
  await olga.emulateMedia({ colorScheme: "light" });
  await tellLostPhone(olga, user);
}

/** The phone is lost and no backup code is there: an admin, signed in, and the user on the telephone. */
async function tellLostPhone(admin: Page, user: Page): Promise<void> {
  await user.getByRole("button", { name: "Sign out" }).click();
  const begun = Date.now();
  await findPerson(admin, "jmueller");
  await admin.getByLabel("End it without a code").check();
  await admin.getByLabel("Hand out an enrollment pass with it").check();
  await admin.getByLabel("how do you know that it is them?").selectOption("called-back");
  await admin.getByRole("button", { name: "MFA: Disable" }).click();
  const handedOut = Date.now();
  await typePassword(user, "jmueller");
  const pass = (await admin.locator(".pass").textContent()) ?? "";
  const field = user.getByLabel("Enrollment pass");
  if (await field.count()) await type(field, pass);
  await beginDevice(user, "jmueller");
  await confirmDevice(user, "jmueller");
  await user.getByRole("link", { name: "I have kept them" }).click();
  const ended = Date.now();
  const seconds = (from: number, to: number) => ((to - from) / 1000).toFixed(0);
  console.log(
    `A lost phone without backup codes: ${seconds(begun, handedOut)} s to the pass, ${seconds(begun, ended)} s to the new device.`,
  );
}

const folder = await mkdtemp(join(tmpdir(), "dirmfa-pictures-"));
const demo = await startDemo(folder);
try {
  const browser = await startBrowser();
  try {
    await takePictures(browser, demo);
  } finally {
    await browser.close();
  }
} finally {
  await stopDemo(demo);
  await rm(folder, { recursive: true, force: true });
}
