// F5: the `otpauth://` URI and its QR codes.

import { inflateSync } from "node:zlib";
import fc from "fast-check";
import { decodeQR } from "qr/decode.js";
import { expect, test } from "vitest";
import { keyUriOf } from "../../src/verification/key-uri.ts";
import { qrPicturesOf } from "../../src/verification/qr-code.ts";

const secretBase32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const uriOf = (issuer: string, username: string) => keyUriOf({ issuer, username, secretBase32 });

/** As authenticator apps read it: the label is decoded and split at its first colon. */
function readAsAppsDo(uri: string) {
  const { protocol, host, pathname, searchParams } = new URL(uri);
  const label = decodeURIComponent(pathname.slice(1));
  const colon = label.indexOf(":");
  return {
    type: `${protocol}//${host}`,
    labelIssuer: label.slice(0, colon),
    username: label.slice(colon + 1),
    ...Object.fromEntries(searchParams),
  };
}

const parameters = {
  type: "otpauth://totp",
  secret: secretBase32,
  algorithm: "SHA1",
  digits: "6",
  period: "30",
};

test("a plain URI is as the Key URI format has it", () => {
  expect(uriOf("ACME", "alice")).toBe(
    `otpauth://totp/ACME:alice?secret=${secretBase32}&issuer=ACME&algorithm=SHA1&digits=6&period=30`,
  );
});

test.each([
  ["spaces", "ACME Co", "Alice Smith", "ACME Co", "Alice Smith"],
  ["an e-mail address", "ACME", "alice+mfa@example.com", "ACME", "alice+mfa@example.com"],
  ["colons, which the format forbids", "https://acme", "corp:alice", "https-//acme", "corp-alice"],
  ["slashes and backslashes", "R/D", "CORP\\alice/bob", "R/D", "CORP\\alice/bob"],
  [
    "what a URI gives a meaning",
    "a&b=c?d#e%20",
    "x?y=z&secret=AAAA#%00",
    "a&b=c?d#e%20",
    "x?y=z&secret=AAAA#%00",
  ],
  ["umlauts", "Müller GmbH", "jürgen", "Müller GmbH", "jürgen"],
  ["CJK", "株式会社", "山田太郎", "株式会社", "山田太郎"],
  ["astral characters", "🏢", "👩‍💻", "🏢", "👩‍💻"],
  ["200 characters", "ACME", "u".repeat(200), "ACME", "u".repeat(200)],
  ["200 umlauts", "ACME", "ü".repeat(200), "ACME", "ü".repeat(200)],
  ["200 CJK characters", "ACME", "山".repeat(200), "ACME", "山".repeat(200)],
  ["half a surrogate pair", "A\ud83d", "B\udc00", "A\ufffd", "B\ufffd"],
])(
  "names with %s come back from the label and the issuer parameter",
  (_, issuer, username, readIssuer, readUsername) => {
    expect(readAsAppsDo(uriOf(issuer, username))).toEqual({
      ...parameters,
      labelIssuer: readIssuer,
      issuer: readIssuer,
      username: readUsername,
    });
  },
);

test("names too long for a QR code are cut with an ellipsis, and issuer and label still agree", () => {
  const read = readAsAppsDo(uriOf("社".repeat(300), "山".repeat(1024)));
  expect(read).toMatchObject({ labelIssuer: `${"社".repeat(63)}…`, issuer: `${"社".repeat(63)}…` });
  expect(read.username).toMatch(/^山{50,}…$/);
});

test("any names make a URI that fits a QR code and that nothing leaks out of", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: "binary", minLength: 1, maxLength: 300 }),
      fc.string({ unit: "binary", minLength: 1, maxLength: 1024 }),
      async (issuer, username) => {
        const uri = uriOf(issuer, username);
        const read = readAsAppsDo(uri);
        expect(read).toMatchObject(parameters);
        expect(read).toMatchObject({ issuer: read.labelIssuer });
        expect(qrPicturesOf(uri).svg).toMatch(/^<svg .*<\/svg>\n$/s);
      },
    ),
    { numRuns: 20 },
  );
});

test("both pictures read back as the URI, the longest one too", () => {
  for (const uri of [uriOf("ACME", "alice"), uriOf("社".repeat(64), "山".repeat(1024))]) {
    const { svg, pngUrl } = qrPicturesOf(uri);
    const fromPng = modulesOfPng(Buffer.from(pngUrl.split(",")[1] ?? "", "base64"));
    expect(modulesOfSvg(svg)).toEqual(fromPng);
    const { data, size } = imageOf(fromPng);
    expect(decodeQR({ width: size, height: size, data })).toBe(uri);
  }
});

test("both pictures together take the thread that answers everybody for less than they used to", () => {
  const uri = uriOf("ACME", "alice@example.org");
  for (let warm = 0; warm < 20; warm++) qrPicturesOf(uri);
  const times = Array.from({ length: 20 }, () => {
    const before = process.cpuUsage();
    qrPicturesOf(uri);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  // 13 ms before; the quickest, since others use this machine too.
  expect(Math.min(...times)).toBeLessThan(5);
});

/** Dark modules, row by row, as any reader of PNG sees them. */
function modulesOfPng(png: Buffer): boolean[][] {
  const size = png.readUInt32BE(16);
  const start = png.indexOf("IDAT");
  const pixels = inflateSync(png.subarray(start + 4, start + 4 + png.readUInt32BE(start - 4)));
  const stride = 1 + Math.ceil(size / 8);
  expect(pixels).toHaveLength(size * stride);
  return Array.from({ length: size / 4 }, (_, y) =>
    Array.from({ length: size / 4 }, (__, x) => {
      const byte = pixels[4 * y * stride + 1 + (x >> 1)] ?? 0;
      return ((byte >> (x % 2 ? 0 : 4)) & 15) === 0;
    }),
  );
}

function modulesOfSvg(svg: string): boolean[][] {
  const size = Number(/viewBox="0 0 (\d+) /.exec(svg)?.[1]);
  const rows = Array.from({ length: size }, () => Array<boolean>(size).fill(false));
  for (const [, x, y, length] of svg.matchAll(/M(\d+) (\d+)h(\d+)v1h-/g)) {
    rows[Number(y)]?.fill(true, Number(x), Number(x) + Number(length));
  }
  return rows;
}

/** Four pixels a module, in red, green, blue and opacity. */
function imageOf(modules: boolean[][]) {
  const size = modules.length * 4;
  const data = new Uint8ClampedArray(size * size * 4).fill(255);
  for (let pixel = 0; pixel < size * size; pixel++) {
    const [y, x] = [Math.floor(pixel / size / 4), Math.floor((pixel % size) / 4)];
    if (modules[y]?.[x]) data.fill(0, pixel * 4, pixel * 4 + 3);
  }
  return { data, size };
}
