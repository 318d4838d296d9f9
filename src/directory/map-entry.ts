// One directory entry as the server sent it becomes one row of columns, or a reason why it cannot be used. Pure, and the
// inner loop of every run: attributes are found by number, values decoded only where they are used.

import { hash } from "node:crypto";
import { attributeTypeKey, dnKeyOf, parseDn } from "../ldap-text/dn.ts";
import { isUsableUsername, usernameKeyOf } from "../username.ts";
import { AttributeSlots } from "./attribute-slots.ts";
import { disabledRuleReader } from "./disabled-rule.ts";
import { decodeId, primaryGroupKeyOf, type UserMapping } from "./kinds.ts";
import { decodeText, describeBytes } from "./ldap/decode-text.ts";
import type { RawAttribute, RawEntry } from "./ldap/ldap-message.ts";
import type { EntryColumns, SkippedEntry, SkipReason } from "./listing-page.ts";

export interface EntryMapper {
  /** The attributes to ask the server for. */
  readonly attributes: readonly string[];
  /**
   * Appends the entry to the columns, or returns why it cannot be used and leaves them as they are. An optional attribute that
   * cannot be used is left out as if it were not there, and goes to `leftOut`: whoever may write it must not decide by it
   * whether the entry counts.
   */
  map(entry: RawEntry, into: EntryColumns, leftOut: SkippedEntry[]): SkippedEntry | undefined;
}

export function emptyEntryColumns(): EntryColumns {
  return {
    directoryIds: [],
    usernames: [],
    usernameKeys: [],
    displayNames: [],
    emails: [],
    dns: [],
    dnKeys: [],
    disabled: [],
    aliasKeys: [],
    primaryGroupKeys: [],
    hashes: [],
  };
}

// Keys are indexed: a PostgreSQL index row holds at most 2,704 bytes.
const longestKeyBytes = 2000;
// Longer than any name or DN that people use; keeps one hostile entry from filling a row.
const longestText = 4096;
// Of all sign-in names of an entry together: an entry with more is not a person.
const longestAliases = 65_536;
// More values than this of a username or alias attribute are not read.
const mostValues = 1000;

/** `directoryTime` is the time by the server's clock: an account that has expired by then is disabled. */
export function createEntryMapper(mapping: UserMapping, directoryTime: Date): EntryMapper {
  const slots = new AttributeSlots();
  const idSlot = slots.add(mapping.idAttribute);
  const usernameSlot = slots.add(mapping.usernameAttribute);
  const displayNameSlots = mapping.displayNameAttributes.map((attribute) => slots.add(attribute));
  const emailSlot = slots.add(mapping.emailAttribute);
  const aliasSlots = mapping.aliasAttributes.map((attribute) => slots.add(attribute));
  const disabled = disabledRuleReader(mapping.disabled, slots, directoryTime);
  const { primaryGroup } = mapping;
  const primaryGroupSlot = primaryGroup === undefined ? -1 : slots.add(primaryGroup.userAttribute);
  const idAttribute = mapping.idAttribute.toLowerCase();

  function map(entry: RawEntry, into: EntryColumns, leftOut: SkippedEntry[]): SkippedEntry | undefined {
    const found = slots.find(entry);
    const dn = decodeText(entry.dn);
    const dnKey = dn === undefined ? undefined : dnKeyOf(dn);
    const id = readId(idAttribute, mapping.idAttribute, found[idSlot]);
    const username = readUsername(mapping.usernameAttribute, found[usernameSlot], dn);
    const skip = (problem: Problem): SkippedEntry => ({
      dn: describeBytes(entry.dn),
      dnKey: dnKey === undefined || dnKey === "" ? null : dnKey,
      directoryId: "value" in id ? id.value : null,
      usernameKey: "value" in username ? username.key : null,
      disabled: disabled(found),
      ...problem,
    });

    if (dn === undefined || dnKey === undefined || dnKey === "") {
      return skip({ reason: "bad-dn", detail: "the DN is not a distinguished name in UTF-8" });
    }
    if (dn.length > longestText)
      return skip({ reason: "too-long", detail: `the DN has ${dn.length} characters` });
    if (!("value" in id)) return skip(id);
    if (!("value" in username)) return skip(username);
    const problems: Problem[] = [];
    const displayName = readFirstText(displayNameSlots, mapping.displayNameAttributes, found, problems);
    const email = readText(mapping.emailAttribute, found[emailSlot], problems);
    const aliases = readAliases({ mapping, slots: aliasSlots, found, username, problems });
    if (problems.length > 0) leftOut.push(leftOutOf(entry, problems));

    const isDisabled = disabled(found);
    const primaryGroupValue = found[primaryGroupSlot]?.first();
    const primaryGroupKey =
      primaryGroup === undefined || primaryGroupValue === undefined
        ? null
        : (primaryGroupKeyOf(primaryGroup, primaryGroupValue, "user") ?? null);
    into.directoryIds.push(id.value);
    into.usernames.push(username.value);
    into.usernameKeys.push(username.key);
    into.displayNames.push(displayName);
    into.emails.push(email);
    into.dns.push(dn);
    into.dnKeys.push(dnKey);
    into.disabled.push(isDisabled);
    into.aliasKeys.push(aliases);
    into.primaryGroupKeys.push(primaryGroupKey);
    into.hashes.push(
      digestOf([
        id.value,
        username.value,
        displayName,
        email,
        dn,
        isDisabled === null ? "unknown" : isDisabled ? "disabled" : "",
        aliases,
        primaryGroupKey,
      ]),
    );
    return undefined;
  }

  return { attributes: slots.attributes, map };
}

/**
 * A digest of fields that cannot hold a NUL, which therefore separates them. 24 characters of base64url are 144 bits of
 * SHA-256: two values of one entry never meet by chance, and whoever searches for a collision on purpose (2^72 steps)
 * gains no more than an edit of their own entry that goes unnoticed. Every user row keeps one, so length counts.
 */
export function digestOf(fields: readonly (string | null)[]): string {
  // Array.join writes null as "": no field here may be an empty string and null with different meaning.
  return hash("sha256", fields.join("\0"), "base64url").slice(0, 24);
}

type Problem = { reason: SkipReason; detail: string };

/** The directory id of an entry, or why there is none. Also used for groups. */
export function readId(
  attributeKey: string,
  attribute: string,
  found: RawAttribute | undefined,
): { value: string } | Problem {
  const value = found?.first();
  if (found === undefined || value === undefined) {
    return { reason: "no-id", detail: `${attribute} is missing, or the bind DN may not read it` };
  }
  if (found.hasSeveral) return { reason: "bad-id", detail: `${attribute} has several values` };
  const decoded = decodeId(attributeKey, value, decodeText);
  return "id" in decoded
    ? { value: decoded.id }
    : { reason: "bad-id", detail: `${attribute} ${decoded.problem}` };
}

type Username = { value: string; key: string };

function readUsername(
  attribute: string,
  found: RawAttribute | undefined,
  dn: string | undefined,
): Username | Problem {
  if (found === undefined) {
    return { reason: "no-username", detail: `${attribute} is missing, or the bind DN may not read it` };
  }
  const values = readValues(attribute, found);
  if (!Array.isArray(values)) return values;
  const chosen = values.length === 1 ? values[0] : chooseUsername(attribute, values, dn);
  if (chosen === undefined) return { reason: "no-username", detail: `${attribute} has no value` };
  if (chosen.trim() === "") return { reason: "bad-username", detail: `${attribute} is blank` };
  const key = usernameKeyOf(chosen);
  if (!fitsKey(key)) return { reason: "too-long", detail: `${attribute} has ${chosen.length} characters` };
  if (!isUsableUsername(chosen)) {
    return { reason: "bad-username", detail: `${attribute} holds control or invisible characters` };
  }
  return { value: chosen.trim(), key };
}

// Values have no order: the one that the RDN names, else the smallest in matching form, is the same in every run.
function chooseUsername(attribute: string, values: string[], dn: string | undefined): string | undefined {
  const type = attributeTypeKey(attribute);
  const rdn = (dn === undefined ? undefined : parseDn(dn))?.[0];
  const inRdn = rdn?.find((ava) => attributeTypeKey(ava.type) === type)?.value;
  const keyInRdn = inRdn === undefined ? undefined : usernameKeyOf(inRdn);
  const keyed = values.map((value) => ({ value, key: usernameKeyOf(value) }));
  const named = keyed.filter(({ key }) => key === keyInRdn);
  return smallest(named.length > 0 ? named : keyed);
}

function smallest(keyed: { value: string; key: string }[]): string | undefined {
  keyed.sort((a, b) => compare(a.key, b.key) || compare(a.value, b.value));
  return keyed[0]?.value;
}

// By code unit: the same on every machine, unlike a locale's order.
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function readValues(attribute: string, found: RawAttribute): string[] | Problem {
  // Most attributes have one value, and there are some for every entry.
  const only = found.onlyText();
  if (typeof only === "string") return [only];
  const texts: string[] = [];
  for (const value of found.values()) {
    if (texts.length === mostValues)
      return { reason: "too-long", detail: `${attribute} has over ${mostValues} values` };
    const text = decodeText(value);
    if (text === undefined)
      return { reason: "bad-bytes", detail: `${attribute} is not UTF-8 text without NUL` };
    texts.push(text);
  }
  return texts;
}

// The smallest value that is not blank; null when there is none, or one that cannot be used, which goes to `problems`.
function readText(attribute: string, found: RawAttribute | undefined, problems: Problem[]): string | null {
  if (found === undefined) return null;
  const values = readValues(attribute, found);
  if (!Array.isArray(values)) {
    problems.push(values);
    return null;
  }
  let smallest: string | null = null;
  for (const text of values) {
    const trimmed = text.trim();
    if (trimmed.length > longestText) {
      problems.push({ reason: "too-long", detail: `${attribute} has ${trimmed.length} characters` });
      return null;
    }
    if (trimmed !== "" && (smallest === null || trimmed < smallest)) smallest = trimmed;
  }
  return smallest;
}

function readFirstText(
  slots: readonly number[],
  attributes: readonly string[],
  found: readonly (RawAttribute | undefined)[],
  problems: Problem[],
): string | null {
  for (const [index, slot] of slots.entries()) {
    const text = readText(attributes[index] ?? "", found[slot], problems);
    if (text !== null) return text;
  }
  return null;
}

/** Names no keys: it is told for the reader, and stands for nobody. */
function leftOutOf(entry: RawEntry, problems: Problem[]): SkippedEntry {
  return {
    dn: describeBytes(entry.dn),
    dnKey: null,
    directoryId: null,
    usernameKey: null,
    disabled: null,
    reason: "attribute-left-out",
    detail: problems.map(({ detail }) => detail).join("; "),
  };
}

interface AliasInput {
  mapping: UserMapping;
  slots: readonly number[];
  found: readonly (RawAttribute | undefined)[];
  username: Username;
  problems: Problem[];
}

// An alias that cannot be matched is left out: it takes a way to sign in, and never the user.
function readAliases({ mapping, slots, found, username, problems }: AliasInput): string | null {
  if (slots.length === 0 && mapping.aliasDomain === undefined) return null;
  const keys = new Set<string>();
  const add = (name: string) => {
    const key = usernameKeyOf(name);
    if (key !== username.key && isUsableUsername(name) && fitsKey(key)) keys.add(key);
  };
  for (const [index, slot] of slots.entries()) {
    const attribute = found[slot];
    if (attribute === undefined) continue;
    const values = readValues(mapping.aliasAttributes[index] ?? "", attribute);
    if (Array.isArray(values)) values.forEach(add);
    else problems.push(values);
  }
  if (mapping.aliasDomain !== undefined) add(`${mapping.aliasDomain}\\${username.value}`);
  if (keys.size === 0) return null;
  const value = JSON.stringify([...keys].sort(compare));
  if (value.length <= longestAliases) return value;
  problems.push({ reason: "too-long", detail: `${keys.size} aliases are too many` });
  return null;
}

function fitsKey(key: string): boolean {
  return key.length * 3 <= longestKeyBytes || Buffer.byteLength(key) <= longestKeyBytes;
}
