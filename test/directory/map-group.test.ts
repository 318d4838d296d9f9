// From raw groups to member keys that join with users' keys, in every spelling a directory uses.

import { expect, test } from "vitest";
import type { DirectoryKind } from "../../src/config/config.ts";
import { groupMappingOf } from "../../src/directory/kinds.ts";
import { decodeEntry, openMessage } from "../../src/directory/ldap/ldap-message.ts";
import { createGroupMapper, groupHashOf } from "../../src/directory/map-group.ts";
import { directoryConfigForFake, entry, type FakeAttributes, uuidOf } from "../support/fake-ldap-server.ts";

function map(attributes: FakeAttributes, kind: DirectoryKind = "openldap", members?: string[]) {
  const groups = {
    bases: ["dc=a"],
    filter: undefined,
    attributes: { id: undefined, name: undefined },
    members,
    nested: true,
  };
  const mapping = groupMappingOf(directoryConfigForFake({ url: "ldap://a" }, { groups }), kind);
  if (mapping === undefined) throw new Error("groups are configured");
  return createGroupMapper(mapping).map(decodeEntry(openMessage(entry(1, "cn=Staff,dc=a", attributes))));
}

const staff = { entryUUID: [uuidOf(1)], cn: ["Staff"] };

test("members by DN and by username become keys in matching form", () => {
  const member = ["UID=Anna , dc=A", "cn=dummy"];
  const uniqueMember = ["uid=bert,dc=a#'0101'B", "uid=carl,dc=a#''B"];
  expect(map({ ...staff, member, uniqueMember, memberUid: ["DORA", "uid=e,dc=a"] })).toMatchObject({
    name: "Staff",
    dnKey: "cn=staff,dc=a",
    memberKeys: [
      "dn:uid=anna,dc=a",
      "dn:cn=dummy",
      "dn:uid=bert,dc=a",
      "dn:uid=carl,dc=a",
      "uid:dora",
      "uid:uid=e,dc=a",
    ],
    rangedAttributes: [],
  });
});

test("members that name no one are left out, and the group stays", () => {
  const member = ["", "cn=", "cn=a\\", Buffer.from([0x63, 0x6e, 0x3d, 0xff])];
  expect(map({ ...staff, member, memberUid: ["", " ", "a\0b", "\u202ex"] })).toMatchObject({
    memberKeys: ["dn:cn="],
  });
});

test("a configured attribute may list usernames", () => {
  expect(map({ ...staff, staffList: ["Anna"] }, "openldap", ["staffList"])).toMatchObject({
    memberKeys: ["uid:anna"],
  });
});

test("a member key too long for an index is a digest", () => {
  const mapped = map({
    ...staff,
    member: [`cn=${"ä".repeat(3_000)},dc=a`],
    memberUid: ["\ufdfa".repeat(500)],
  });
  expect(mapped).toMatchObject({ memberKeys: [expect.stringMatching(/^dn:sha256=[0-9a-f]{64}$/)] });
});

test("a range is named for reading on, and its part is not taken for the whole", () => {
  const group = {
    objectGUID: [Buffer.alloc(16, 1)],
    sAMAccountName: ["Staff"],
    member: [],
    "member;range=0-1": ["cn=a", "cn=b"],
  };
  expect(map(group, "active-directory")).toMatchObject({ memberKeys: [], rangedAttributes: ["member"] });
});

test("a group without id or name is skipped", () => {
  expect(map({ cn: ["Staff"] })).toMatchObject({ reason: "no-id" });
  expect(map({ entryUUID: [uuidOf(1)] })).toMatchObject({ reason: "no-name" });
});

test("the digest notices name, DN and members", () => {
  const hashes = [
    groupHashOf({ name: "a", dn: "cn=a" }, []),
    groupHashOf({ name: "b", dn: "cn=a" }, []),
    groupHashOf({ name: "a", dn: "cn=b" }, []),
    groupHashOf({ name: "a", dn: "cn=a" }, ["dn:cn=x"]),
    groupHashOf({ name: "a", dn: "cn=a" }, ["dn:cn=x", "dn:cn=y"]),
  ];
  expect(new Set(hashes).size).toBe(hashes.length);
});

test("a group is found by its own number: a SID of its domain, or a gidNumber", () => {
  const keysOf = (attributes: FakeAttributes, kind: DirectoryKind) => {
    const ids = { objectGUID: [Buffer.alloc(16, 1)], sAMAccountName: ["Staff"] };
    const mapped = map({ ...staff, ...ids, ...attributes }, kind);
    return "reason" in mapped ? mapped : mapped.memberKeys;
  };
  const sid = (hex: string) => ({ objectSid: [Buffer.from(hex, "hex")] });
  const domain = "0105000000000005150000000102030405060708090a0b0c";
  expect(keysOf(sid(`${domain}01020000`), "active-directory")).toEqual(["rid:513"]);
  expect(keysOf(sid(`${domain}ffffffff`), "active-directory")).toEqual(["rid:4294967295"]);
  // BUILTIN\Users, S-1-5-32-545, and what is no SID.
  expect(keysOf(sid("01020000000000052000000021020000"), "active-directory")).toEqual([]);
  expect(keysOf(sid("0105"), "active-directory")).toEqual([]);
  expect(keysOf({ gidNumber: ["100"], memberUid: ["anna"] }, "openldap")).toEqual(["gid:100", "uid:anna"]);
});
