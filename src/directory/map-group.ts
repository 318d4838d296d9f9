// One group as the server sent it: id, name, DN and member keys, or why it cannot be used. Pure. A group whose members
// come in ranges (Active Directory, beyond 1,500) is named for reading on.

import { dnKeyMaxBytes, dnKeyOf } from "../ldap-text/dn.ts";
import { isUsableUsername, usernameKeyOf } from "../username.ts";
import { AttributeSlots } from "./attribute-slots.ts";
import { type GroupMapping, primaryGroupKeyOf } from "./kinds.ts";
import { decodeText, describeBytes } from "./ldap/decode-text.ts";
import type { RawAttribute, RawEntry } from "./ldap/ldap-message.ts";
import type { SkippedEntry } from "./listing-page.ts";
import { digestOf, readId } from "./map-entry.ts";

export interface MappedGroup {
  directoryId: string;
  name: string;
  dn: string;
  dnKey: string;
  /** Member keys in the order of the server, possibly with repetitions; hash and columns take them as memberKeysInOrder. */
  memberKeys: string[];
  /** Attributes whose members came in a range, so that none of them is in `memberKeys`. */
  rangedAttributes: string[];
}

export interface GroupMapper {
  readonly attributes: readonly string[];
  map(entry: RawEntry): MappedGroup | SkippedEntry;
}

export function createGroupMapper(mapping: GroupMapping): GroupMapper {
  const slots = new AttributeSlots();
  const idSlot = slots.add(mapping.idAttribute);
  const nameSlot = slots.add(mapping.nameAttribute);
  const members = mapping.memberAttributes.map((attribute) => ({ attribute, slot: slots.add(attribute) }));
  const { primaryGroup } = mapping;
  const primaryGroupSlot = slots.add(primaryGroup.groupAttribute);
  const idAttribute = mapping.idAttribute.toLowerCase();

  function map(entry: RawEntry): MappedGroup | SkippedEntry {
    const found = slots.find(entry);
    const dn = decodeText(entry.dn);
    const dnKey = dn === undefined ? undefined : dnKeyOf(dn);
    const id = readId(idAttribute, mapping.idAttribute, found[idSlot]);
    const name = readName(found[nameSlot]);
    const skip = (reason: SkippedEntry["reason"], detail: string): SkippedEntry => ({
      dn: describeBytes(entry.dn),
      dnKey: dnKey === undefined || dnKey === "" ? null : dnKey,
      directoryId: "value" in id ? id.value : null,
      usernameKey: null,
      disabled: null,
      reason,
      detail,
    });
    if (dn === undefined || dnKey === undefined || dnKey === "")
      return skip("bad-dn", "the DN is not a distinguished name in UTF-8");
    // As long as an entry's text may be.
    if (dn.length > 4096) return skip("too-long", `the DN has ${dn.length} characters`);
    if (!("value" in id)) return skip(id.reason, id.detail);
    if (name === undefined) return skip("no-name", `${mapping.nameAttribute} is missing or not text`);
    const rangedAttributes = members
      .map(({ attribute }) => attribute)
      .filter((attribute) => isRanged(entry, attribute));
    const memberKeys: string[] = [];
    const number = found[primaryGroupSlot]?.first();
    const primaryGroupKey =
      number === undefined ? undefined : primaryGroupKeyOf(primaryGroup, number, "group");
    if (primaryGroupKey !== undefined) memberKeys.push(primaryGroupKey);
    for (const { attribute, slot } of members) {
      const values = found[slot];
      if (values !== undefined && !rangedAttributes.includes(attribute))
        addMemberKeys(attribute, values, memberKeys);
    }
    return { directoryId: id.value, name, dn, dnKey, memberKeys, rangedAttributes };
  }

  return { attributes: slots.attributes, map };
}

/** A group's name is never shortened: one longer than this is refused. */
const longestName = 1024;

function readName(found: RawAttribute | undefined): string | undefined {
  if (found === undefined) return undefined;
  let smallest: string | undefined;
  for (const value of found.values()) {
    const name = decodeText(value)?.trim();
    if (name === undefined || name === "" || name.length > longestName) continue;
    if (smallest === undefined || name < smallest) smallest = name;
  }
  return smallest;
}

const rangePattern = /^([^;]+);range=(\d+)-(\d+|\*)$/i;

/** The range that an attribute description names, such as `member;range=0-1499`; `to` is undefined for the last one. */
export function parseRange(
  description: string,
): { attribute: string; from: number; to: number | undefined } | undefined {
  const match = rangePattern.exec(description);
  if (match?.[1] === undefined) return undefined;
  return {
    attribute: match[1].toLowerCase(),
    from: Number(match[2]),
    to: match[3] === "*" ? undefined : Number(match[3]),
  };
}

function isRanged(entry: RawEntry, attribute: string): boolean {
  const key = attribute.toLowerCase();
  return entry.attributes.some(({ description }) => parseRange(description)?.attribute === key);
}

/** Appends the keys of all members in `values`. Values that name no one, such as a dummy member, are left out. */
export function addMemberKeys(attribute: string, values: RawAttribute, into: string[]): void {
  const listsUsernames = attribute.toLowerCase() === "memberuid";
  for (const value of values.values()) {
    const text = decodeText(value);
    const key = text === undefined ? undefined : listsUsernames ? usernameMemberKey(text) : memberKeyOf(text);
    if (key !== undefined) into.push(key);
  }
}

// uniqueMember may carry a bit string behind the DN (RFC 4517, 3.3.21).
const uniqueIdentifier = /#'[01]*'B$/;

function memberKeyOf(text: string): string | undefined {
  const dn = text.replace(uniqueIdentifier, "");
  const dnKey = dnKeyOf(dn);
  if (dnKey !== undefined && dnKey !== "") return `dn:${dnKey}`;
  // A configured attribute may list usernames, as memberUid does.
  return dn.includes("=") ? undefined : usernameMemberKey(text);
}

function usernameMemberKey(text: string): string | undefined {
  if (!isUsableUsername(text)) return undefined;
  const key = usernameKeyOf(text);
  return Buffer.byteLength(key) > dnKeyMaxBytes ? undefined : `uid:${key}`;
}

// In JavaScript's order of strings, by UTF-16, these come before characters that they follow in the order of bytes.
const surrogate = /[\ud800-\udfff]/;

/** Each key once, in the order of their bytes in UTF-8: the one in which a database with the collation "C" has them. */
export function memberKeysInOrder(memberKeys: readonly string[]): string[] {
  const distinct = [...new Set(memberKeys)].sort();
  return distinct.some((key) => surrogate.test(key)) ? distinct.sort(compareBytes) : distinct;
}

function compareBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

/** Digest of name, DN and members; `memberKeys` as by memberKeysInOrder. As long as that of an entry. */
export function groupHashOf(group: { name: string; dn: string }, memberKeys: readonly string[]): string {
  return digestOf([group.name, group.dn, ...memberKeys]);
}
