// Filters from the configuration: the bytes that go out, and what is refused with the position of the mistake.

import fc from "fast-check";
import { BerWriter, type Filter, FilterParser } from "ldapts";
import { describe, expect, test } from "vitest";
import { parseFilter } from "../../../src/directory/ldap/filter.ts";
import { AppError } from "../../../src/errors.ts";
import { parseFilterText } from "../../../src/ldap-text/filter-text.ts";

function bytesOf(filter: Filter): string {
  const writer = new BerWriter();
  filter.write(writer);
  return writer.buffer.toString("hex");
}

test.each([
  "(uid=anna)",
  "(&(objectClass=person)(|(uid=a*)(!(mail=*@old.example))))",
  "(cn=*)",
  "(cn=a*b*c)",
  "(cn=*b*)",
  "(uidNumber>=1000)",
  "(uidNumber<=2000)",
  "(cn~=anna)",
  "(userAccountControl:1.2.840.113556.1.4.803:=2)",
  "(cn=Müller)",
  "(cn=a\\2ab\\28c\\29)",
])("%s goes out as ldapts writes it", (text) => {
  expect(bytesOf(parseFilter(text))).toBe(bytesOf(FilterParser.parseString(text)));
});

test.each([
  // Cases that ldapts' parser spoils or refuses; bytes by RFC 4511, 4.5.1.
  ["escaped bytes from 0x80", "(cn=\\c3\\a9)", "a308 0402636e 0402c3a9"],
  ["a GUID", "(objectGUID=\\00\\ff)", "a310 040a6f626a65637447554944 040200ff"],
  ["white space between parts", " ( & (a=b) (c=d) ) ", "a010 a306 040161 040162 a306 040163 040164"],
  ["an attribute with an option", "(cn;lang-de=x)", "a30f 040a636e3b6c616e672d6465 040178"],
  ["an OID", "(2.5.4.3=x)", "a30c 0407322e352e342e33 040178"],
  ["true and false (RFC 4526)", "(|(&)(|))", "a104 a000 a100"],
  ["spaces in a value, kept", "(cn= a b )", "a30b 0402636e 04052061206220"],
  ["an empty value", "(cn=)", "a306 0402636e 0400"],
  [
    "a rule with dn, for all attributes",
    "(:dn:caseIgnoreMatch:=x)",
    "a917 810f6361736549676e6f72654d61746368 830178 8401ff",
  ],
  ["an attribute without a rule", "(cn:=x)", "a907 8202636e 830178"],
  ["an escaped asterisk beside a real one", "(cn=\\2a*)", "a409 0402636e 3003 80012a"],
])("%s: %s", (_name, text, bytes) => {
  expect(bytesOf(parseFilter(text))).toBe(bytes.replaceAll(" ", ""));
});

describe("what is no filter tells where", () => {
  test.each([
    ["", 1],
    ["uid=anna", 1],
    ["(uid=anna", 10],
    ["(&(a=b)", 8],
    ["(uid=anna))", 11],
    ["(uid=a)(uid=b)", 8],
    ["()", 2],
    ["(!)", 3],
    ["(uid)", 5],
    ["(=a)", 2],
    ["(uid=a\\zz)", 7],
    ["(uid=a\\)", 7],
    ["(cn=a**b)", 9],
    ["(cn=**)", 7],
    ["(uid=a(b)", 7],
    ["(a:=)x", 6],
    ["(:=x)", 4],
    ["(cn::=x)", 5],
    ["(uid=a\0b)", 7],
    ["(ü=a)", 2],
    [`${"(!".repeat(60)}(a=b)${")".repeat(60)}`, 103],
  ])("%j at %i", (text, position) => {
    let failure: unknown;
    try {
      parseFilter(text);
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(AppError);
    expect(failure).toMatchObject({ code: "directory-filter-invalid", fields: { position } });
  });
});

test("whatever the text, it is a filter that can be sent or a mistake at a place in it", () => {
  const pieces = fc.constantFrom(
    "(",
    ")",
    "&",
    "|",
    "!",
    "*",
    "=",
    ":=",
    ">=",
    "\\",
    "\\2a",
    "cn",
    ":dn",
    ":1.2",
    " ",
    "é",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(pieces).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(text, (filter) => {
      const parsed = parseFilterText(filter);
      if ("filter" in parsed) expect(bytesOf(parseFilter(filter))).toMatch(/^(a[0-9]|87)/);
      else expect(parsed.position).toBeLessThanOrEqual(filter.length + 1);
    }),
  );
});
