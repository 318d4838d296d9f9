// Which server is at the other end: its root DSE, what identifies its incarnation, how far its copy has got, and whether
// a base is the entry it was. Reads only; what a difference means is the listing's decision.

import type { DirectoryKind } from "../config/config.ts";
import { AppError } from "../errors.ts";
import { dnKeyOf } from "../ldap-text/dn.ts";
import type { RootDse } from "./kinds.ts";
import { decodeText } from "./ldap/decode-text.ts";
import { everyEntry } from "./ldap/filter.ts";
import type { RawEntry } from "./ldap/ldap-message.ts";
import type { LdapSession } from "./ldap/ldap-session.ts";
import { readEntry } from "./ldap/paged-search.ts";
import type { ServerIdentity } from "./listing-page.ts";

/** First values and all values of an entry's attributes as text, by lower-case name. Binary values come in hex. */
type TextAttributes = Map<string, string[]>;

const rootDseAttributes = [
  "vendorName",
  "structuralObjectClass",
  "supportedCapabilities",
  "supportedControl",
  "namingContexts",
  "dsServiceName",
  "highestCommittedUSN",
  "currentTime",
  "netscapemdsuffix",
  "lastusn",
];

/**
 * Reads the root DSE. A server may hide it or parts of it, and then says nothing about itself: such fields are empty. Throws
 * AppError `directory-busy`: a server that is busy hides nothing.
 */
export async function readRootDse(session: LdapSession, bindDn: string | undefined): Promise<RootDse> {
  const found = await readIfAllowed(session, "", rootDseAttributes, bindDn);
  const all = (name: string) => found?.get(name.toLowerCase()) ?? [];
  return {
    isShown: found !== undefined && found.size > 0,
    vendorName: all("vendorName")[0],
    structuralObjectClass: all("structuralObjectClass")[0],
    supportedCapabilities: all("supportedCapabilities"),
    supportedControls: all("supportedControl"),
    namingContexts: all("namingContexts"),
    dsServiceName: all("dsServiceName")[0],
    highestCommittedUsn: all("highestCommittedUSN")[0],
    currentTime: parseGeneralizedTime(all("currentTime")[0]),
    netscapeMdsuffix: all("netscapemdsuffix")[0],
    lastUsns: lastUsnsOf(found ?? new Map()),
  };
}

// One attribute for each database, which its option names.
function lastUsnsOf(found: TextAttributes): RootDse["lastUsns"] {
  return [...found].flatMap(([description, [usn = ""]]) => {
    const database = /^lastusn;([^; =]+)$/.exec(description)?.[1];
    return database !== undefined && /^-?\d{1,20}$/.test(usn) ? [{ database, usn }] : [];
  });
}

// As Active Directory writes it: 20260131120000.0Z (RFC 4517, 3.3.13, without its other forms).
function parseGeneralizedTime(text: string | undefined): Date | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\d+)?Z$/.exec(text ?? "");
  if (parts === null) return undefined;
  const [, year, month, day, hour, minute, second] = parts;
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

const idAttributes = ["entryUUID", "objectGUID", "nsUniqueId", "ipaUniqueID"];

/**
 * What tells one incarnation of the base entry from another: its immutable id, or its DN where the server has no ids.
 * Throws AppError directory-base-missing when the entry is not there or not readable.
 */
export async function readBaseId(
  session: LdapSession,
  base: string,
  bindDn: string | undefined,
): Promise<string> {
  const found = await readAttributes(session, base, idAttributes, `reading the base "${base}"`, bindDn);
  if (found === undefined) throw baseHidden(base, session.url, bindDn);
  for (const name of idAttributes) {
    const id = found.get(name.toLowerCase())?.[0];
    if (id !== undefined) return `${name}=${id.toLowerCase()}`;
  }
  return `dn=${dnKeyOf(base) ?? base}`;
}

function baseHidden(base: string, url: string, bindDn: string | undefined): AppError {
  const who = bindDn === undefined ? "an anonymous connection" : `"${bindDn}"`;
  return new AppError("directory-base-missing", `the server does not show the base "${base}" to ${who}`, {
    remedy:
      "Give the bind DN the right to read the base entry itself: without it, an empty base and a hidden one look the same.",
    fields: { url, base },
  });
}

/**
 * Identity and state of the server. Active Directory: its NTDS settings object and invocation id, which a restore
 * changes. OpenLDAP and others: the URL, or 389-ds' own name, and the id of the suffix that holds the first base.
 */
export async function readServerIdentity(
  session: LdapSession,
  kind: DirectoryKind,
  base: string,
  bindDn: string | undefined,
): Promise<ServerIdentity> {
  const rootDse = await readRootDse(session, bindDn);
  if (kind === "active-directory" && rootDse.dsServiceName !== undefined) {
    const invocationId = await readInvocationId(session, rootDse.dsServiceName, bindDn);
    const identity = `ad:${dnKeyOf(rootDse.dsServiceName) ?? rootDse.dsServiceName}|${invocationId ?? "-"}`;
    return { url: session.url, identity, state: rootDse.highestCommittedUsn ?? null };
  }
  const host = rootDse.netscapeMdsuffix ?? session.url;
  const suffix = await readSuffix(session, suffixOf(rootDse, base) ?? base, bindDn);
  const id = suffix?.id ?? (await readBaseId(session, base, bindDn));
  return { url: session.url, identity: `${kind}:${host}|${id}`, state: suffix?.state ?? null };
}

async function readInvocationId(
  session: LdapSession,
  ntds: string,
  bindDn: string | undefined,
): Promise<string | undefined> {
  const found = await readIfAllowed(session, ntds, ["invocationId"], bindDn);
  return found?.get("invocationid")?.[0];
}

async function readSuffix(
  session: LdapSession,
  suffix: string,
  bindDn: string | undefined,
): Promise<{ id: string; state: string | null } | undefined> {
  const found = await readIfAllowed(session, suffix, [...idAttributes, "contextCSN"], bindDn);
  if (found === undefined) return undefined;
  const name = idAttributes.find((attribute) => found.has(attribute.toLowerCase()));
  if (name === undefined) return undefined;
  // One contextCSN for each server that takes writes; their order has no meaning.
  const csns = found.get("contextcsn")?.sort() ?? [];
  return {
    id: `${name}=${found.get(name.toLowerCase())?.[0]}`,
    state: csns.length === 0 ? null : csns.join(" "),
  };
}

/** The naming context that holds `dn`, the longest where several do; undefined when the server does not name one. */
export function suffixOf(rootDse: RootDse, dn: string): string | undefined {
  const key = dnKeyOf(dn);
  if (key === undefined) return undefined;
  return rootDse.namingContexts
    .filter((context) => {
      const contextKey = dnKeyOf(context);
      return (
        contextKey !== undefined &&
        contextKey !== "" &&
        (key === contextKey || key.endsWith(`,${contextKey}`))
      );
    })
    .sort((a, b) => b.length - a.length)[0];
}

// The suffix is often not readable for a bind DN that may read the users below it; then it identifies nothing.
async function readIfAllowed(
  session: LdapSession,
  dn: string,
  attributes: string[],
  bindDn: string | undefined,
): Promise<TextAttributes | undefined> {
  try {
    return await readAttributes(session, dn, attributes, `reading "${dn}"`, bindDn);
  } catch (error) {
    if (session.closedBy !== undefined || !(error instanceof AppError)) throw error;
    if (error.code === "directory-busy") throw error;
    return undefined;
  }
}

function readAttributes(
  session: LdapSession,
  base: string,
  attributes: string[],
  what: string,
  bindDn: string | undefined,
): Promise<TextAttributes | undefined> {
  const search = { base, filter: everyEntry(), attributes };
  return readEntry(session, search, textAttributesOf, { what, url: session.url, bindDn });
}

// More values than any root DSE has; the rest is of no use here.
const mostValues = 1000;

function textAttributesOf(entry: RawEntry): TextAttributes {
  const attributes: TextAttributes = new Map();
  for (const attribute of entry.attributes) {
    const texts: string[] = [];
    for (const value of attribute.values()) {
      if (texts.length === mostValues) break;
      const text = decodeText(value);
      texts.push(text === undefined || /\p{Cc}/u.test(text) ? value.toString("hex") : text);
    }
    if (texts.length > 0) attributes.set(attribute.description.toLowerCase(), texts);
  }
  return attributes;
}
