// F5: the `otpauth://` URI and its QR codes.

import fc from "fast-check";
import { expect, test } from "vitest";
import { keyUriOf, qrPngOf, qrSvgOf } from "../../src/verification/key-uri.ts";

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
        expect(await qrSvgOf(uri)).toMatch(/^<svg .*<\/svg>\n$/s);
      },
    ),
    { numRuns: 20 },
  );
});

test("the PNG is a data URL", async () => {
  expect(await qrPngOf(uriOf("ACME", "alice"))).toMatch(/^data:image\/png;base64,iVBORw0KGgo/);
});
