// Proof by programs that are not ours: oathtool makes the codes, Chromium draws the QR codes, zbarimg reads them.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startBrowser } from "../../scripts/servers/chromium.ts";
import { ensureServers } from "../../scripts/servers/install-servers.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import { qrPicturesOf } from "../../src/verification/qr-code.ts";
import { caller, openVerificationWorld, type VerificationWorld } from "../verification/verification-world.ts";

const run = promisify(execFile);

let world: VerificationWorld;
let folder: string;
let browser: Browser;
let page: Page;
let programs: Record<string, string>;
beforeAll(async () => {
  programs = await ensureServers(["oathtool", "zbar"]);
  [world, browser] = await Promise.all([openVerificationWorld(), startBrowser()]);
  page = await browser.newPage({ viewport: { width: 800, height: 800 } });
  folder = await mkdtemp(join(tmpdir(), "dirmfa-qr-"));
});
afterAll(async () => {
  await browser.close();
  await rm(folder, { recursive: true });
  await world.close();
});

async function oathtool(secretBase32: string): Promise<string> {
  const at = world.clock.now().toISOString().replace("T", " ").replace(/\..*/, " UTC");
  return (
    await run(programs.oathtool ?? "", ["--totp", "--base32", `--now=${at}`, secretBase32])
  ).stdout.trim();
}

async function zbarimg(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  const { stdout } = await run(programs.zbarimg ?? "", [
    "--quiet",
    "--raw",
    "-Sdisable",
    "-Sqrcode.enable",
    path,
  ]);
  return stdout.replace(/\n$/, "");
}

async function begun(username: string, issuer = "ACME") {
  const user = await world.addUser({ username });
  const deps = { ...world.deps, mfa: { ...world.deps.mfa, issuer } };
  const answer = await beginEnrollment(deps, { name: user, actor: caller });
  if (answer.outcome !== "begun") throw new Error(answer.outcome);
  return answer;
}

describe("codes made by oathtool", () => {
  test("from the secret as shown are accepted", async () => {
    const { user, secretPlain } = await begun("oath-secret");
    const totpAsTyped = await oathtool(secretPlain);
    expect(await confirmEnrollment(world.deps, { name: user, totpAsTyped, actor: caller })).toMatchObject({
      outcome: "confirmed",
    });
    world.clock.step();
    expect(await world.verify(user, await oathtool(secretPlain))).toMatchObject({
      outcome: "accepted",
    });
  });

  test("from the secret in the URI are accepted", async () => {
    const { user, uri } = await begun("oath-uri");
    const totpAsTyped = await oathtool(new URL(uri).searchParams.get("secret") ?? "");
    expect(await confirmEnrollment(world.deps, { name: user, totpAsTyped, actor: caller })).toMatchObject({
      outcome: "confirmed",
    });
  });
});

test.each([
  ["plain", "alice", "ACME"],
  ["with a slash, an at sign and a plus", "CORP\\a/b+c@example.org", "R/D + Söhne"],
  ["with what a URI gives a meaning", "x?y=z&secret=AAAA#%00", "a&b=c?d#e%20"],
  ["with an umlaut", "jürgen", "Käse GmbH"],
  ["in Japanese", "山田太郎", "株式会社"],
  ["of 200 letters", "u".repeat(200), "ACME"],
  ["of 200 CJK characters", "山".repeat(200), "社".repeat(20)],
])("for names %s, both QR codes read back exactly as the URI", async (_, username, issuer) => {
  const { uri, qrPng, qrSvg } = await begun(username, issuer);
  const { pathname, searchParams } = new URL(uri);
  expect(decodeURIComponent(pathname)).toBe(`/${issuer}:${username}`);
  expect(searchParams.get("issuer")).toBe(issuer);
  expect(await zbarimg("qr.png", Buffer.from(qrPng.split(",")[1] ?? "", "base64"))).toBe(uri);
  expect(await zbarimg("qr-drawn.png", await drawn(qrSvg))).toBe(uri);
});

/** The SVG as a browser draws it: zbarimg reads no SVG. */
async function drawn(svg: string): Promise<Buffer> {
  await page.setContent(
    `<img width="760" src="data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")}">`,
  );
  return page.locator("img").screenshot();
}

test("for a name with a colon, which would end the issuer, both QR codes read back as the URI", async () => {
  const { uri, qrPng, qrSvg } = await begun("corp:alice");
  expect(decodeURIComponent(new URL(uri).pathname)).toBe("/ACME:corp-alice");
  expect(await zbarimg("qr.png", Buffer.from(qrPng.split(",")[1] ?? "", "base64"))).toBe(uri);
  expect(await zbarimg("qr-drawn.png", await drawn(qrSvg))).toBe(uri);
});

test("the longest URI still reads back", async () => {
  const uri = `otpauth://totp/${"%E5%B1%B1".repeat(250)}?secret=A`;
  expect(await zbarimg("long.png", Buffer.from(qrPicturesOf(uri).pngUrl.split(",")[1] ?? "", "base64"))).toBe(
    uri,
  );
  expect(await zbarimg("long-drawn.png", await drawn(qrPicturesOf(uri).svg))).toBe(uri);
});
