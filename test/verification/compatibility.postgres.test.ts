// Proof by programs that are not ours: oathtool makes the codes, zbarimg reads the QR codes.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import { qrPngOf, qrSvgOf } from "../../src/verification/key-uri.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import { caller, openVerificationWorld, type VerificationWorld } from "./verification-world.ts";

const run = promisify(execFile);

let world: VerificationWorld;
let folder: string;
beforeAll(async () => {
  world = await openVerificationWorld();
  folder = await mkdtemp(join(tmpdir(), "dirmfa-qr-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await world.close();
});

async function oathtool(secretBase32: string): Promise<string> {
  const at = world.clock.now().toISOString().replace("T", " ").replace(/\..*/, " UTC");
  return (await run("oathtool", ["--totp", "--base32", `--now=${at}`, secretBase32])).stdout.trim();
}

async function zbarimg(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  const { stdout } = await run("zbarimg", ["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", path]);
  return stdout.replace(/\n$/, "");
}

async function begun(username: string) {
  const user = await world.addUser({ username });
  const answer = await beginEnrollment(world.deps, { name: user, actor: caller });
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
    const code = { method: "totp", codeAsTyped: await oathtool(secretPlain) } as const;
    expect(await verifyCode(world.deps, { name: user, code, actor: caller })).toMatchObject({
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
  ["plain", "alice"],
  ["with a colon and a slash", "a:b/c"],
  ["with an umlaut", "jürgen"],
  ["in Japanese", "山田太郎"],
  ["of 200 letters", "u".repeat(200)],
  ["of 200 CJK characters", "山".repeat(200)],
])("for a user name %s, both QR codes read back exactly as the URI", async (_, username) => {
  const { uri, qrPng, qrSvg } = await begun(username);
  expect(await zbarimg("qr.png", Buffer.from(qrPng.split(",")[1] ?? "", "base64"))).toBe(uri);
  expect(await zbarimg("qr.pgm", drawn(qrSvg))).toBe(uri);
});

/** Draws what our SVG consists of, a path of horizontal strokes, as a gray map: zbarimg reads no SVG. */
function drawn(svg: string): Buffer {
  const size = Number(/viewBox="0 0 (\d+) \1"/.exec(svg)?.[1]);
  const path = /stroke="#000000" d="([^"]+)"/.exec(svg)?.[1] ?? "";
  const scale = 4; // pixels a module, which zbarimg reads well
  const pixels = Buffer.alloc((size * scale) ** 2, 255);
  let [x, y] = [0, 0];
  for (const [, command, first = "0", second = "0"] of path.matchAll(
    /([Mmh])(-?[\d.]+)(?:[ ,](-?[\d.]+))?/g,
  )) {
    const [dx, dy] = [Number(first), Number(second)];
    if (command === "M") [x, y] = [dx, dy];
    else if (command === "m") [x, y] = [x + dx, y + dy];
    else {
      for (let row = (y - 0.5) * scale; row < (y + 0.5) * scale; row++) {
        pixels.fill(0, row * size * scale + x * scale, row * size * scale + (x + dx) * scale);
      }
      x += dx;
    }
  }
  return Buffer.concat([Buffer.from(`P5 ${size * scale} ${size * scale} 255\n`), pixels]);
}

test("the longest URI still reads back", async () => {
  const uri = `otpauth://totp/${"%E5%B1%B1".repeat(250)}?secret=A`;
  expect(await zbarimg("long.png", Buffer.from((await qrPngOf(uri)).split(",")[1] ?? "", "base64"))).toBe(
    uri,
  );
  expect(await qrSvgOf(uri)).toContain("<svg");
});
