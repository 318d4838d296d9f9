// What differs between kinds of directories: ids and how they read, attributes and filters to start from, and how an
// entry says that it is disabled. Everything here is a default that the configuration may replace. Pure.

import type { DirectoryConfig, DirectoryKind, DisabledRule } from "../config/config.ts";
import { AppError } from "../errors.ts";
import type { FilterPart } from "../ldap-text/filter-text.ts";
import { uuidPattern } from "../uuid.ts";

export interface KindDefaults {
  idAttribute: string;
  userFilter: string;
  usernameAttribute: string;
  /** In order of preference: the first one that an entry has. */
  displayNameAttributes: readonly string[];
  emailAttribute: string;
  disabled: DisabledRule;
  groupFilter: string;
  groupNameAttribute: string;
  memberAttributes: readonly string[];
  primaryGroup: PrimaryGroupRule;
}

/**
 * How users name a group that does not list them: by the group's number (`gid`, RFC 2307), or by the last part of its SID
 * (`rid`, Active Directory). As member keys: `gid:100`, `rid:513`.
 */
export interface PrimaryGroupRule {
  kind: "gid" | "rid";
  userAttribute: string;
  groupAttribute: string;
}

const person = {
  userFilter: "(objectClass=inetOrgPerson)",
  usernameAttribute: "uid",
  displayNameAttributes: ["displayName", "cn"],
  emailAttribute: "mail",
  groupFilter: "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))",
  groupNameAttribute: "cn",
  memberAttributes: ["member", "uniqueMember", "memberUid"],
  primaryGroup: { kind: "gid", userAttribute: "gidNumber", groupAttribute: "gidNumber" },
} as const;

export const kindDefaults: Readonly<Record<DirectoryKind, KindDefaults>> = {
  openldap: {
    ...person,
    idAttribute: "entryUUID",
    // 000001010000Z is an admin's lock, "until unlocked". A time is ppolicy's pause after failed binds: it ends by itself,
    // without a change of the entry, and would keep the user out until the next run.
    disabled: { kind: "attribute", attribute: "pwdAccountLockedTime", values: ["000001010000Z"] },
  },
  "389ds": {
    ...person,
    idAttribute: "nsUniqueId",
    disabled: { kind: "attribute", attribute: "nsAccountLock", values: ["true"] },
  },
  generic: {
    ...person,
    idAttribute: "entryUUID",
    disabled: { kind: "never" },
  },
  "active-directory": {
    idAttribute: "objectGUID",
    // objectCategory is indexed; objectClass=user alone also finds computers.
    userFilter: "(&(objectCategory=person)(objectClass=user))",
    usernameAttribute: "sAMAccountName",
    displayNameAttributes: ["displayName", "cn"],
    emailAttribute: "mail",
    disabled: { kind: "user-account-control", attribute: "userAccountControl" },
    groupFilter: "(objectCategory=group)",
    // Unique in the domain, which cn is not.
    groupNameAttribute: "sAMAccountName",
    memberAttributes: ["member"],
    // "Domain Users" and other primary groups list no members.
    primaryGroup: { kind: "rid", userAttribute: "primaryGroupID", groupAttribute: "objectSid" },
  },
};

/** How users of one directory are read: the configuration, with the kind's defaults where it says nothing. */
export interface UserMapping {
  filter: string;
  idAttribute: string;
  usernameAttribute: string;
  displayNameAttributes: readonly string[];
  emailAttribute: string;
  disabled: DisabledRule;
  aliasAttributes: readonly string[];
  aliasDomain: string | undefined;
  /** Undefined when no groups are configured. */
  primaryGroup: PrimaryGroupRule | undefined;
}

export function userMappingOf(directory: DirectoryConfig, kind: DirectoryKind): UserMapping {
  const defaults = kindDefaults[kind];
  const { attributes, filter, disabled, aliases, aliasDomain } = directory.users;
  return {
    filter: filter ?? defaults.userFilter,
    idAttribute: attributes.id ?? defaults.idAttribute,
    usernameAttribute: attributes.username ?? defaults.usernameAttribute,
    displayNameAttributes:
      attributes.displayName === undefined ? defaults.displayNameAttributes : [attributes.displayName],
    emailAttribute: attributes.email ?? defaults.emailAttribute,
    disabled: disabled ?? defaults.disabled,
    aliasAttributes: aliases,
    aliasDomain,
    primaryGroup: directory.groups === undefined ? undefined : defaults.primaryGroup,
  };
}

export interface GroupMapping {
  filter: string;
  idAttribute: string;
  nameAttribute: string;
  memberAttributes: readonly string[];
  primaryGroup: PrimaryGroupRule;
}

/** Undefined when no groups are configured. */
export function groupMappingOf(directory: DirectoryConfig, kind: DirectoryKind): GroupMapping | undefined {
  if (directory.groups === undefined) return undefined;
  const defaults = kindDefaults[kind];
  const { attributes, filter, members } = directory.groups;
  return {
    filter: filter ?? defaults.groupFilter,
    idAttribute: attributes.id ?? defaults.idAttribute,
    nameAttribute: attributes.name ?? defaults.groupNameAttribute,
    memberAttributes: members ?? defaults.memberAttributes,
    primaryGroup: defaults.primaryGroup,
  };
}

/** The facts of a root DSE that tell the kinds apart, and what a server can do. */
export interface RootDse {
  /** False when the server shows nothing of it to the bind DN. */
  isShown: boolean;
  vendorName: string | undefined;
  structuralObjectClass: string | undefined;
  supportedCapabilities: string[];
  supportedControls: string[];
  namingContexts: string[];
  dsServiceName: string | undefined;
  highestCommittedUsn: string | undefined;
  /** Active Directory: the server's own clock. */
  currentTime: Date | undefined;
  /** 389-ds: names the server's own host and port. */
  netscapeMdsuffix: string | undefined;
  /** 389-ds with its USN plugin: the number of the last change in each database. */
  lastUsns: { database: string; usn: string }[];
}

const activeDirectoryCapability = "1.2.840.113556.1.4.800";

/** The kind that a root DSE shows; `generic` for what is not recognised. */
export function detectKind(rootDse: RootDse): DirectoryKind {
  if (rootDse.supportedCapabilities.includes(activeDirectoryCapability)) return "active-directory";
  if (rootDse.structuralObjectClass?.toLowerCase() === "openldaprootdse") return "openldap";
  if (/389|fedora|red hat/i.test(rootDse.vendorName ?? "")) return "389ds";
  return "generic";
}

/**
 * How a directory is read. A server that hides its kind today is read as before: with the rules of another kind, all users whom it
 * has disabled would be enabled. Throws AppError `directory-access-denied` where nothing tells.
 */
export function kindOf(
  known: { directory: DirectoryConfig; rememberedKind?: DirectoryKind | undefined },
  rootDse: RootDse,
  url: string,
): DirectoryKind {
  const { directory, rememberedKind } = known;
  if (directory.kind !== undefined) return directory.kind;
  const detected = detectKind(rootDse);
  if (detected !== "generic") return detected;
  if (rememberedKind !== undefined) return rememberedKind;
  if (rootDse.isShown) return detected;
  throw new AppError(
    "directory-access-denied",
    "the server does not show its root DSE, so it is not known what kind of directory it is",
    { remedy: "Set kind for this directory, or let the bind DN read the root DSE.", fields: { url } },
  );
}

export type DecodedId = { id: string } | { problem: string };

// A longer value is not an id. The id is indexed together with the directory's name.
const longestId = 512;

/** A directory id as text: the same for every spelling of the same id. */
export function decodeId(
  attribute: string,
  value: Buffer,
  decodeText: (value: Buffer) => string | undefined,
): DecodedId {
  if (attribute === "objectguid") return decodeGuid(value);
  // eDirectory's GUID is read byte by byte, unlike Active Directory's.
  if (attribute === "guid" && value.length === 16) return { id: value.toString("hex") };
  const text = decodeText(value)?.trim();
  if (text === undefined || /[\p{Cc}\ufffd]/u.test(text)) return { problem: "is not text" };
  if (text === "") return { problem: "is empty" };
  if (text.length > longestId) return { problem: `has ${text.length} characters` };
  return { id: caseless.has(attribute) ? text.toLowerCase() : text };
}

/** The value of the attribute that decodeId has read as `id`. */
export function encodeId(attribute: string, id: string): Buffer {
  const isGuid = attribute === "objectguid" && uuidPattern.test(id);
  if (attribute === "guid" && /^[0-9a-f]{32}$/.test(id)) return Buffer.from(id, "hex");
  if (!isGuid) return Buffer.from(id);
  const parts = id.split("-").map((part) => Buffer.from(part, "hex"));
  return Buffer.concat(parts.map((part, index) => (index < 3 ? part.reverse() : part)));
}

/** Of a search filter: the entry with this directory id. */
export function partOfId({ idAttribute }: UserMapping, id: string): FilterPart {
  return { kind: "equal", attribute: idAttribute, value: encodeId(idAttribute.toLowerCase(), id) };
}

// Ids in hexadecimal, that a server may spell in either case. Others, such as employeeNumber, are taken as they are.
const caseless: ReadonlySet<string> = new Set(["entryuuid", "nsuniqueid", "ipauniqueid", "ibm-entryuuid"]);

/** [MS-DTYP] 2.3.4: the first three groups are little-endian. */
function decodeGuid(value: Buffer): DecodedId {
  if (value.length !== 16) return { problem: `has ${value.length} bytes, a GUID has 16` };
  const hex = value.toString("hex");
  const pair = (index: number) => hex.slice(index * 2, index * 2 + 2);
  const order = [3, 2, 1, 0, -1, 5, 4, -1, 7, 6, -1];
  const head = order.map((index) => (index === -1 ? "-" : pair(index))).join("");
  return { id: `${head}${hex.slice(16, 20)}-${hex.slice(20)}` };
}

/**
 * The member key of users with this primary group; undefined for a group that is not of a domain. For `rid` of a group
 * the value is a SID ([MS-DTYP] 2.4.2.2), whose last 32 bits, little-endian, are the number that users name.
 */
export function primaryGroupKeyOf(
  rule: PrimaryGroupRule,
  value: Buffer,
  of: "user" | "group",
): string | undefined {
  if (rule.kind === "rid" && of === "group") {
    const isOfDomain = value.length === 28 && value.subarray(0, domainSidHead.length).equals(domainSidHead);
    return isOfDomain ? `rid:${value.readUInt32LE(24)}` : undefined;
  }
  const digits = value.toString("latin1");
  return /^\d{1,10}$/.test(digits) ? `${rule.kind}:${Number(digits)}` : undefined; // 32 bits have up to 10 digits
}

// S-1-5-21-x-y-z-RID: revision 1, five parts, authority 5, and 21 for "of a domain"; BUILTIN groups have other numbers.
const domainSidHead = Buffer.from([1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0]);
