// DNs in every spelling: one key for one name, and never a throw or a hang for what is no DN.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dnKeyMaxBytes, dnKeyOf, parseDn } from "../../src/ldap-text/dn.ts";

describe("one name has one key", () => {
  test.each([
    ["uid=anna,ou=People,dc=Example,dc=org", "UID=Anna , OU = people,DC=example, dc=ORG"],
    ["cn=Müller\\, Jörg,dc=a", "cn=M\\c3\\bcller\\2c J\\C3\\B6rg,dc=A"],
    ["cn=a b,dc=a", "cn=a   b,dc=a"],
    ["cn=a,dc=a", "cn=\\20a\\ ,dc=a"],
    ['cn="a, b",dc=a', "cn=a\\, b,dc=a"],
    ["cn=a;dc=a", "cn=a,dc=a"],
    ["cn=a+uid=b,dc=a", "uid=B + cn=A,dc=a"],
    ["2.5.4.3=a,OID.0.9.2342.19200300.100.1.25=b", "commonName=a,domainComponent=b"],
    ["userid=a,dc=b", "uid=a,dc=b"],
    ["cn=ﬁx,dc=a", "cn=FIX,dc=a"],
    ["cn=#04024869,dc=a", "cn=#0402486A,dc=a".replace("6A", "69")],
    [
      "ou=Research\\, Tests + \\22Trials\\22,dc=a".replace(" + ", " \\+ "),
      'ou="Research, Tests + \\"Trials\\"",dc=a',
    ],
    ["dc=STRASSE", "dc=strasse"],
  ])("%s", (one, other) => {
    expect(dnKeyOf(one)).toBeDefined();
    expect(dnKeyOf(other)).toBe(dnKeyOf(one));
  });

  test("different names have different keys", () => {
    const names = [
      "cn=a,dc=b",
      "cn=a\\,dc=b",
      "cn=a+dc=b",
      "cn=a\\+dc\\=b",
      "cn=#6131",
      "cn=\\#6131",
      "cn=a1",
      "cn=\\00a",
      "cn=a",
      "",
    ];
    expect(new Set(names.map((name) => dnKeyOf(name))).size).toBe(names.length);
  });

  test("a plain name and the same one escaped byte by byte have one key", () => {
    const word = fc.string({
      unit: fc.constantFrom(...'abcXYZ09-_ .@&=+,;"<>#\\é'),
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), (values) => {
        const plain = values.map((value) => `cn=${escapeSpecials(value)}`).join(",");
        const escaped = values.map((value) => `CN=${escapeAll(value)}`).join(" , ");
        expect(dnKeyOf(plain)).toBeDefined();
        expect(dnKeyOf(escaped)).toBe(dnKeyOf(plain));
        expect(parseDn(plain)).toEqual(values.map((value) => [{ type: "cn", value, isBer: false }]));
      }),
    );
  });

  test("the key of a key is the key", () => {
    const value = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(value, (text) => {
        const key = dnKeyOf(`cn=${escapeAll(text)},dc=a`) ?? "";
        expect(dnKeyOf(key)).toBe(key);
      }),
    );
  });
});

describe("what is no DN", () => {
  test.each([
    "cn",
    "cn=a,",
    ",cn=a",
    "cn=a,,dc=b",
    "=a",
    "cn=a\\",
    "cn=a\\g1",
    "cn=a\\4",
    "cn=\\ff",
    "cn=\\c3",
    'cn="a',
    'cn="a"b',
    "cn=#",
    "cn=#1",
    "cn=#zz",
    "cn=a<b",
    "cn=a\0b",
    "1.=a",
    "c n=a",
    "-a=b",
    "anna",
    "anna@example.org",
    "cn=a+",
    "cn=\\c3 \\a9",
  ])("%j gives undefined", (text) => {
    expect(dnKeyOf(text)).toBeUndefined();
    expect(parseDn(text)).toBeUndefined();
  });

  test("any text gives a key or undefined, and a key holds nothing that cannot be stored", () => {
    const hostile = fc.string({
      unit: fc.constantFrom(...'acn=,;+\\"# 0fF\0\u0130\ud800é\u202e'),
      maxLength: 60,
    });
    fc.assert(
      fc.property(fc.oneof(hostile, fc.string({ unit: "binary" })), (text) => {
        const key = dnKeyOf(text);
        expect(key === undefined || !/\p{Cc}/u.test(key)).toBe(true);
        expect(key === undefined).toBe(parseDn(text) === undefined);
      }),
      { numRuns: 2_000 },
    );
  });

  test("a megabyte of it is refused in time", () => {
    const many = [
      "cn=a".padEnd(1_000_000, "\\"),
      "cn=a,".repeat(200_000),
      `cn=${" ".repeat(1_000_000)}x<`,
      `cn=${"a ".repeat(500_000)}\0`,
      "=".repeat(1_000_000),
    ];
    const startedAt = performance.now();
    for (const text of many) dnKeyOf(text);
    // A second on a busy machine; hours if the work grew with the square of the length.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });
});

test("the key of a very long DN is a digest that still tells names apart", () => {
  const long = (last: string) => dnKeyOf(`cn=${"ä".repeat(3_000)}${last},dc=a`) ?? "";
  expect(Buffer.byteLength(long("x"))).toBeLessThan(dnKeyMaxBytes);
  expect(long("x")).toBe(long("X"));
  expect(long("x")).not.toBe(long("y"));
});

function escapeSpecials(value: string): string {
  const escaped = value.replace(/[",+;<>\\]/g, "\\$&").replace(/^[ #]/, "\\$&");
  return value.endsWith(" ") && value.length > 1 ? `${escaped.slice(0, -1)}\\ ` : escaped;
}

function escapeAll(value: string): string {
  return [...Buffer.from(value)].map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
}
