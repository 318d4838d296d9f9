// From raw attributes to a row: which value is taken, what is refused and why, and what the digest notices.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DirectoryConfig, DirectoryKind, DisabledRule } from "../../src/config/config.ts";
import { detectKind, userMappingOf } from "../../src/directory/kinds.ts";
import { decodeEntry, openMessage } from "../../src/directory/ldap/ldap-message.ts";
import type { SkippedEntry } from "../../src/directory/listing-page.ts";
import { createEntryMapper, emptyEntryColumns } from "../../src/directory/map-entry.ts";
import { directoryConfigForFake, entry, type FakeAttributes, uuidOf } from "../support/fake-ldap-server.ts";

const baseConfig = directoryConfigForFake({ url: "ldap://127.0.0.1" });
const groups = {
  bases: ["dc=a"],
  filter: undefined,
  attributes: { id: undefined, name: undefined },
  members: undefined,
  nested: true,
};
const noon = new Date("2026-01-31T12:00:00Z");

interface Case {
  dn?: string | Buffer;
  kind?: DirectoryKind;
  users?: Partial<DirectoryConfig["users"]>;
  /** Default: noon of a day in January 2026. */
  directoryTime?: Date;
}

function map(attributes: FakeAttributes, options: Case = {}) {
  const { dn = "uid=anna,dc=a", kind = "openldap", users = {}, directoryTime = noon } = options;
  const config = { ...baseConfig, groups, users: { ...baseConfig.users, ...users } };
  const mapper = createEntryMapper(userMappingOf(config, kind), directoryTime);
  const columns = emptyEntryColumns();
  const leftOut: SkippedEntry[] = [];
  const skipped = mapper.map(decodeEntry(openMessage(entry(1, dn, attributes))), columns, leftOut);
  return {
    skipped,
    leftOut,
    rows: columns.dns.length,
    id: columns.directoryIds[0],
    username: columns.usernames[0],
    key: columns.usernameKeys[0],
    displayName: columns.displayNames[0],
    email: columns.emails[0],
    dnKey: columns.dnKeys[0],
    disabled: columns.disabled[0],
    aliases: columns.aliasKeys[0],
    primaryGroup: columns.primaryGroupKeys[0],
    hash: columns.hashes[0],
  };
}

const anna = { entryUUID: [uuidOf(1)], uid: ["Anna"], displayName: ["Anna Ö"], mail: ["anna@a"] };

describe("a row", () => {
  test("holds what was mapped, and keys in matching form", () => {
    expect(map(anna)).toMatchObject({
      skipped: undefined,
      id: uuidOf(1),
      username: "Anna",
      key: "anna",
      displayName: "Anna Ö",
      email: "anna@a",
      dnKey: "uid=anna,dc=a",
      disabled: false,
      aliases: null,
      hash: expect.stringMatching(/^[\w-]{24}$/),
    });
  });

  test("is the same whatever the case, order and options of the attributes", () => {
    const shuffled = {
      MAIL: anna.mail,
      "cn;lang-de": ["Nein"],
      DisplayName: anna.displayName,
      UID: anna.uid,
      "entryuuid;binary": [uuidOf(1).toUpperCase()],
    };
    expect(map(shuffled)).toEqual(map(anna));
  });

  test("takes the display name from cn where there is none, and not from a language variant", () => {
    expect(map({ ...anna, displayName: [], "cn;lang-de": ["Deutsch"], cn: ["Common"] }).displayName).toBe(
      "Common",
    );
    expect(
      map({ entryUUID: anna.entryUUID, uid: anna.uid, "cn;lang-de": ["Deutsch"] }).displayName,
    ).toBeNull();
  });

  test("takes the username that the RDN names, else the smallest in matching form", () => {
    const uid = ["Zoe", "anna", "Bert"];
    expect(map({ ...anna, uid }, { dn: "uid=ZOE,dc=a" }).username).toBe("Zoe");
    expect(map({ ...anna, uid }, { dn: "userid=bert,dc=a" }).username).toBe("Bert");
    expect(map({ ...anna, uid }, { dn: "cn=someone,dc=a" }).username).toBe("anna");
  });

  test("has one digest for values in any order, and another when a mapped value changes", () => {
    const users = { aliases: ["mail", "uid"] };
    const one = map({ ...anna, mail: ["b@a", "a@a"], uid: ["x", "anna"] }, { users });
    expect(map({ ...anna, mail: ["a@a", "b@a"], uid: ["anna", "x"] }, { users }).hash).toBe(one.hash);
    const changes = [
      { displayName: ["Other"] },
      { mail: ["c@a"] },
      { uid: ["anna2"] },
      { pwdAccountLockedTime: ["000001010000Z"] },
    ];
    const digests = changes.map((change) => map({ ...anna, ...change }).hash);
    expect(new Set([map(anna).hash, map(anna, { dn: "uid=anna,dc=b" }).hash, ...digests]).size).toBe(6);
  });

  test("ignores attributes that are not mapped", () => {
    expect(map({ ...anna, entryCSN: ["2026"], modifyTimestamp: ["x"] }).hash).toBe(map(anna).hash);
  });
});

describe("disabled", () => {
  test.each<[DirectoryKind, string, string, boolean | null]>([
    ["openldap", "pwdAccountLockedTime", "000001010000Z", true],
    ["389ds", "nsAccountLock", "TRUE", true],
    ["389ds", "nsAccountLock", "false", false],
    ["active-directory", "userAccountControl", "512", false],
    ["active-directory", "userAccountControl", "514", true],
    ["active-directory", "userAccountControl", "66050", true],
    ["active-directory", "userAccountControl", "-2147483646", true],
    ["active-directory", "userAccountControl", "2x", null],
    ["active-directory", "userPassword", "hidden control", null],
    ["generic", "pwdAccountLockedTime", "000001010000Z", false],
  ])("%s: %s %s is %s", (kind, attribute, value, disabled) => {
    const ids = { objectGUID: [Buffer.alloc(16, 1)], nsUniqueId: ["a-b-c-d"], sAMAccountName: ["anna"] };
    expect(map({ ...anna, ...ids, [attribute]: [value] }, { kind }).disabled).toBe(disabled);
  });

  test("the configured rule replaces the kind's", () => {
    const disabled = {
      kind: "attribute",
      attribute: "employeeType",
      values: ["Left", "leave"],
    } satisfies DisabledRule;
    expect(map({ ...anna, employeeType: ["x", "LEFT"] }, { users: { disabled } }).disabled).toBe(true);
    expect(map({ ...anna, pwdAccountLockedTime: ["x"] }, { users: { disabled } }).disabled).toBe(false);
  });
});

describe("accountExpires", () => {
  const adUser = { objectGUID: [Buffer.alloc(16, 1)], sAMAccountName: ["anna"], userAccountControl: ["512"] };
  const atNoon = "134143344000000000"; // 100 ns since 1601
  const disabledWith = (accountExpires: string, directoryTime = noon) =>
    map({ ...adUser, accountExpires: [accountExpires] }, { kind: "active-directory", directoryTime })
      .disabled;

  test.each([
    ["a moment that has come", atNoon, true],
    ["a moment still to come", "134143344000000001", false],
    ["long ago", "116444736000000000", true],
    ["0, which means never", "0", false],
    ["the largest number, which means never", "9223372036854775807", false],
    ["what is no time", "soon", false],
    ["a number beyond 64 bits", "99999999999999999999", false],
    ["a negative number", "-1", false],
  ])("%s", (_, accountExpires, disabled) => {
    expect(disabledWith(accountExpires)).toBe(disabled);
  });

  test("when it passes, the entry's digest changes although the entry does not", () => {
    const entryOf = (directoryTime: Date) =>
      map({ ...adUser, accountExpires: [atNoon] }, { kind: "active-directory", directoryTime });
    const before = entryOf(new Date(noon.getTime() - 1));
    const after = entryOf(noon);
    expect([before.disabled, after.disabled]).toEqual([false, true]);
    expect(before.hash).not.toBe(after.hash);
    expect(entryOf(new Date(noon.getTime() + 86_400_000)).hash).toBe(after.hash);
  });
});

test.each<[string, FakeAttributes, Case]>([
  ["id", { entryUUID: [uuidOf(2)] }, {}],
  ["username", { uid: ["Anni"] }, {}],
  ["display name", { displayName: ["Anna"] }, {}],
  ["e-mail address", { mail: ["a@a"] }, {}],
  ["DN", {}, { dn: "uid=anna,dc=b" }],
  ["state", {}, { users: { disabled: { kind: "attribute", attribute: "mail", values: ["anna@a"] } } }],
  ["aliases", {}, { users: { aliases: ["mail"] } }],
  ["aliases by domain", {}, { users: { aliasDomain: "A" } }],
  ["primary group", { gidNumber: ["100"] }, {}],
])(
  "the digest notices another %s, and so a configuration that maps it otherwise",
  (_, attributes, options) => {
    expect(map({ ...anna, ...attributes }, options).hash).not.toBe(map(anna).hash);
  },
);

describe("the primary group", () => {
  test.each<[DirectoryKind, string, string, string | null]>([
    ["active-directory", "primaryGroupID", "513", "rid:513"],
    ["openldap", "gidNumber", "0100", "gid:100"],
    ["openldap", "gidNumber", "-1", null],
    ["389ds", "gidNumber", "99999999999", null],
    ["openldap", "primaryGroupID", "513", null],
  ])("%s: %s %s is %s", (kind, attribute, value, key) => {
    const ids = { objectGUID: [Buffer.alloc(16, 1)], nsUniqueId: ["a-b-c-d"], sAMAccountName: ["anna"] };
    expect(map({ ...anna, ...ids, [attribute]: [value] }, { kind }).primaryGroup).toBe(key);
  });
});

describe("ids", () => {
  test("an objectGUID reads as Active Directory writes it, whatever its bytes spell", () => {
    const spelled = { objectGUID: [Buffer.from("abcdefghijklmnop")], sAMAccountName: ["anna"] };
    expect(map(spelled, { kind: "active-directory" }).id).toBe("64636261-6665-6867-696a-6b6c6d6e6f70");
  });

  test("a configured id attribute is taken as it is", () => {
    const users = { attributes: { ...baseConfig.users.attributes, id: "employeeNumber" } };
    expect(map({ ...anna, employeeNumber: ["A-7"] }, { users }).id).toBe("A-7");
  });
});

describe("aliases", () => {
  test("are matching forms, sorted, without the username itself", () => {
    const users = { aliases: ["mail", "userPrincipalName"], aliasDomain: "CORP" };
    const row = map(
      { ...anna, mail: ["Z@a", "anna", "B@a"], userPrincipalName: ["ANNA@corp", "z@A"] },
      { users },
    );
    expect(row.aliases).toBe(JSON.stringify(["anna@corp", "b@a", "corp\\anna", "z@a"]));
  });

  test("that cannot be matched are left out, and the user stays", () => {
    const users = { aliases: ["mail"] };
    expect(map({ ...anna, mail: ["\u202eevil", " ", "x".repeat(1025)] }, { users })).toMatchObject({
      rows: 1,
      aliases: null,
    });
  });
});

describe("an optional attribute that cannot be used is left out and reported, and the entry counts", () => {
  const users = { aliases: ["mail", "userPrincipalName"] };
  test.each<[string, FakeAttributes, object]>([
    ["a display name with NUL", { displayName: ["a\0"] }, { displayName: null }],
    ["a display name without end", { displayName: ["x".repeat(5_000)] }, { displayName: null }],
    [
      "a display name in Latin-1, with a common name",
      { displayName: [Buffer.from([0xe9])], cn: ["A"] },
      { displayName: "A" },
    ],
    ["an e-mail address without end", { mail: ["x".repeat(5_000)] }, { email: null }],
    [
      "over 1,000 aliases",
      { userPrincipalName: Array.from({ length: 1001 }, (_, n) => `a${n}`) },
      { aliases: '["anna@a"]' },
    ],
    [
      "aliases without end",
      { userPrincipalName: Array.from({ length: 90 }, (_, n) => `${n}${"x".repeat(900)}`) },
      { aliases: null },
    ],
  ])("%s", (_name, attributes, expected) => {
    const locked = { ...anna, ...attributes, pwdAccountLockedTime: ["000001010000Z"] };
    const row = map(locked, { users });
    expect(row).toMatchObject({ rows: 1, skipped: undefined, disabled: true, ...expected });
    const [report, ...more] = row.leftOut;
    expect(more).toEqual([]);
    expect(report).toMatchObject({ dn: "uid=anna,dc=a", directoryId: null, dnKey: null, usernameKey: null });
    expect(report?.detail).toMatch(/^(displayName|mail|userPrincipalName|\d+ aliases) /);
  });
});

describe("an entry that cannot be used is skipped with what is known of it", () => {
  test.each<[string, FakeAttributes, Case, object]>([
    ["no id", { uid: ["anna"] }, {}, { reason: "no-id", directoryId: null, usernameKey: "anna" }],
    ["an empty id", { ...anna, entryUUID: [""] }, {}, { reason: "bad-id" }],
    ["two ids", { ...anna, entryUUID: ["a", "b"] }, {}, { reason: "bad-id" }],
    [
      "a GUID of 15 bytes",
      { objectGUID: [Buffer.alloc(15)], sAMAccountName: ["a"] },
      { kind: "active-directory" },
      { reason: "bad-id" },
    ],
    ["an id with a line break", { ...anna, entryUUID: ["a\nb"] }, {}, { reason: "bad-id" }],
    [
      "no username",
      { entryUUID: anna.entryUUID },
      {},
      { reason: "no-username", directoryId: uuidOf(1), usernameKey: null },
    ],
    ["a blank username", { ...anna, uid: ["  "] }, {}, { reason: "bad-username" }],
    [
      "a username with a right-to-left override",
      { ...anna, uid: ["an\u202ena"] },
      {},
      { reason: "bad-username" },
    ],
    // "anna" to whoever reads it.
    ["a username with a soft hyphen", { ...anna, uid: ["an\u00adna"] }, {}, { reason: "bad-username" }],
    ["a username with a word joiner", { ...anna, uid: ["an\u2060na"] }, {}, { reason: "bad-username" }],
    ["a username with a tag", { ...anna, uid: ["an\u{e0061}na"] }, {}, { reason: "bad-username" }],
    ["a username with a byte order mark", { ...anna, uid: ["\ufeffanna"] }, {}, { reason: "bad-username" }],
    ["a username with NUL", { ...anna, uid: ["an\0na"] }, {}, { reason: "bad-bytes" }],
    [
      "a username in Latin-1",
      { ...anna, uid: [Buffer.from([0x61, 0xe9])] },
      {},
      { reason: "bad-bytes", usernameKey: null },
    ],
    [
      "an overlong UTF-8 slash",
      { ...anna, uid: [Buffer.from([0x61, 0xc0, 0xaf])] },
      {},
      { reason: "bad-bytes" },
    ],
    [
      "a surrogate in UTF-8",
      { ...anna, uid: [Buffer.from([0xed, 0xa0, 0x80])] },
      {},
      { reason: "bad-bytes" },
    ],
    [
      "a username that grows in normal form",
      { ...anna, uid: ["\ufdfa".repeat(200)] },
      {},
      { reason: "too-long" },
    ],
    ["a DN that is none", anna, { dn: "anna" }, { reason: "bad-dn", dnKey: null, directoryId: uuidOf(1) }],
    [
      "a DN in Latin-1",
      anna,
      { dn: Buffer.from([0x63, 0x6e, 0x3d, 0xe9]) },
      { reason: "bad-dn", dn: "cn=\ufffd" },
    ],
    ["an empty DN", anna, { dn: "" }, { reason: "bad-dn" }],
  ])("%s", (_name, attributes, options, expected) => {
    const { skipped, rows } = map(attributes, options);
    expect(rows).toBe(0);
    expect(skipped).toMatchObject(expected);
    expect(skipped?.detail).not.toBe("");
  });

  test("and with what it says of the state of its user", () => {
    const locked = { ...anna, uid: [" "], pwdAccountLockedTime: ["000001010000Z"] };
    expect(map(locked).skipped).toMatchObject({ directoryId: uuidOf(1), disabled: true });
    expect(map({ ...anna, uid: [" "] }).skipped).toMatchObject({ disabled: false });
  });

  test("any bytes give a row or a reason, and a row can be stored", () => {
    const bytes = fc.uint8Array({ maxLength: 30 }).map((value) => Buffer.from(value));
    const values = fc.array(bytes, { maxLength: 3 });
    fc.assert(
      fc.property(values, values, values, bytes, (uid, displayName, mail, dn) => {
        const row = map(
          { entryUUID: [uuidOf(1)], uid, displayName, mail },
          { dn, users: { aliases: ["mail"] } },
        );
        expect(row.rows === 1).toBe(row.skipped === undefined);
        expect(JSON.stringify(row)).not.toContain("\\u0000");
      }),
    );
  });
});

test("kinds are told from the root DSE", () => {
  const nothing = {
    isShown: true,
    vendorName: undefined,
    structuralObjectClass: undefined,
    supportedCapabilities: [],
    supportedControls: [],
    namingContexts: [],
    dsServiceName: undefined,
    highestCommittedUsn: undefined,
    currentTime: undefined,
    netscapeMdsuffix: undefined,
    lastUsns: [],
  };
  expect(detectKind(nothing)).toBe("generic");
  expect(detectKind({ ...nothing, structuralObjectClass: "OpenLDAProotDSE" })).toBe("openldap");
  expect(detectKind({ ...nothing, vendorName: "389 Project" })).toBe("389ds");
  expect(detectKind({ ...nothing, supportedCapabilities: ["1.2.840.113556.1.4.800"] })).toBe(
    "active-directory",
  );
});
