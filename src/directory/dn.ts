// Distinguished names (RFC 4514): parsing, and one form that is equal for every spelling of a name. Pure; a text that
// is no DN gives undefined, in time proportional to its length.

import { createHash } from "node:crypto";

/** One `type=value` of an RDN: the type in lower case, the value with escapes resolved. */
export interface Ava {
  type: string;
  value: string;
  /** The value is `#` and hexadecimal BER, as it stands: only the schema tells what it means. */
  isBer: boolean;
}

/** The RDNs of a DN, first one first, each with its one or more values; [] for the empty DN. */
export function parseDn(text: string): Ava[][] | undefined {
  if (text.trim() === "") return [];
  const rdns: Ava[][] = [];
  let rdn: Ava[] = [];
  let at = 0;
  for (;;) {
    const ava = parseAva(text, at);
    if (ava === undefined) return undefined;
    rdn.push(ava.ava);
    const separator = text[ava.end];
    if (separator === undefined || separator === "," || separator === ";") {
      rdns.push(rdn);
      rdn = [];
    }
    if (separator === undefined) return rdns;
    at = ava.end + 1;
  }
}

/**
 * The form in which DNs are compared: types and values in lower case after NFKC, insignificant spaces gone (RFC 4518,
 * 2.6.1), escapes resolved, values of one RDN sorted. Undefined for what is no DN. Safe to store and to index: printable,
 * and replaced by a digest beyond `dnKeyMaxBytes`.
 */
export function dnKeyOf(text: string): string | undefined {
  if (plainDn.test(text) && !otherNames.test(text)) return bounded(text.toLowerCase());
  const rdns = parseDn(text);
  if (rdns === undefined) return undefined;
  return bounded(rdns.map(keyOfRdn).join(","));
}

/** A PostgreSQL index row holds at most 2,704 bytes; member keys are indexed beside a UUID. */
export const dnKeyMaxBytes = 2000;

function bounded(key: string): string {
  // A UTF-16 unit is at most three bytes.
  if (key.length * 3 <= dnKeyMaxBytes || Buffer.byteLength(key) <= dnKeyMaxBytes) return key;
  return `sha256=${createHash("sha256").update(key).digest("hex")}`;
}

// Most DNs are ASCII without escapes, values of several words or spaces at separators: their key is their lower case.
const plainDn =
  /^(?:[a-z][a-z0-9-]*=[!$%&'()*./0-9:?@A-Z[\]^_`a-z{|}~-]+(?: [!$%&'()*./0-9:?@A-Z[\]^_`a-z{|}~-]+)*(?:,(?!$)|$))+$/i;

// Names for one attribute type that servers take for another (RFC 4519 and its OIDs). Keys are lower case.
const shortNames: Readonly<Record<string, string>> = {
  commonname: "cn",
  "2.5.4.3": "cn",
  userid: "uid",
  "0.9.2342.19200300.100.1.1": "uid",
  domaincomponent: "dc",
  "0.9.2342.19200300.100.1.25": "dc",
  organizationalunitname: "ou",
  "2.5.4.11": "ou",
  organizationname: "o",
  "2.5.4.10": "o",
  countryname: "c",
  "2.5.4.6": "c",
  localityname: "l",
  "2.5.4.7": "l",
  stateorprovincename: "st",
  "2.5.4.8": "st",
  streetaddress: "street",
  "2.5.4.9": "street",
  surname: "sn",
  "2.5.4.4": "sn",
};
const otherNames = new RegExp(
  `(?:^|,)(?:${Object.keys(shortNames)
    .filter((name) => /^[a-z]+$/.test(name))
    .join("|")})=`,
  "i",
);

/** An attribute type as it is compared: lower case, without `OID.`, the short name where there are several. */
export function attributeTypeKey(type: string): string {
  const lower = type.toLowerCase().replace(/^oid\./, "");
  return Object.hasOwn(shortNames, lower) ? (shortNames[lower] ?? lower) : lower;
}

function keyOfRdn(rdn: Ava[]): string {
  return rdn
    .map(({ type, value, isBer }) => `${attributeTypeKey(type)}=${isBer ? value : keyOfValue(value)}`)
    .sort()
    .join("+");
}

function keyOfValue(value: string): string {
  const folded = value.normalize("NFKC").toLowerCase().normalize("NFKC").trim().replace(/\s+/g, " ");
  return folded.replace(
    /[\\,+;"<>#\p{Cc}]/gu,
    (char) => `\\${(char.codePointAt(0) ?? 0).toString(16).padStart(2, "0")}`,
  );
}

const typePattern = /(?:oid\.)?\d+(?:\.\d+)*|[a-z][a-z0-9-]*/iy;

function parseAva(text: string, start: number): { ava: Ava; end: number } | undefined {
  let at = skipSpaces(text, start);
  typePattern.lastIndex = at;
  const type = typePattern.exec(text)?.[0];
  if (type === undefined) return undefined;
  at = skipSpaces(text, at + type.length);
  if (text[at] !== "=") return undefined;
  at = skipSpaces(text, at + 1);
  const isBer = text[at] === "#";
  const parsed = isBer
    ? parseHexValue(text, at)
    : text[at] === '"'
      ? parseQuoted(text, at + 1)
      : parseValue(text, at);
  if (parsed === undefined) return undefined;
  return { ava: { type: type.toLowerCase(), value: parsed.value, isBer }, end: parsed.end };
}

function skipSpaces(text: string, start: number): number {
  let at = start;
  while (text[at] === " ") at += 1;
  return at;
}

type ParsedValue = { value: string; end: number };

const hexValue = /#(?:[0-9a-f]{2})+(?= *(?:[,;+]|$))/iy;

function parseValue(text: string, start: number): ParsedValue | undefined {
  const parts = new ValueParts();
  let at = start;
  // How much of the value is there even if only spaces follow; an escaped space counts.
  let significant = 0;
  for (; at < text.length; at += 1) {
    const char = text[at];
    if (char === "," || char === ";" || char === "+") break;
    if (char === '"' || char === "<" || char === ">" || char === "\0") return undefined;
    if (char === "\\") {
      const taken = parts.addEscape(text, at);
      if (taken === 0) return undefined;
      at += taken;
      significant = parts.length;
    } else {
      parts.addChar(char ?? "");
      if (char !== " ") significant = parts.length;
    }
  }
  const value = parts.text(significant);
  return value === undefined ? undefined : { value, end: at };
}

function parseHexValue(text: string, start: number): ParsedValue | undefined {
  hexValue.lastIndex = start;
  const value = hexValue.exec(text)?.[0];
  if (value === undefined) return undefined;
  return { value: value.toLowerCase(), end: skipSpaces(text, start + value.length) };
}

// RFC 2253's predecessor quotes values, and some software still writes it.
function parseQuoted(text: string, start: number): ParsedValue | undefined {
  const parts = new ValueParts();
  let at = start;
  for (; text[at] !== '"'; at += 1) {
    const char = text[at];
    if (char === undefined || char === "\0") return undefined;
    if (char === "\\") {
      const taken = parts.addEscape(text, at);
      if (taken === 0) return undefined;
      at += taken;
    } else {
      parts.addChar(char);
    }
  }
  const end = skipSpaces(text, at + 1);
  const value = parts.text(parts.length);
  if (value === undefined || (end < text.length && !",;+".includes(text[end] ?? ""))) return undefined;
  return { value, end };
}

const escapable = ' "#+,;<=>\\';
const hexPair = /[0-9a-f]{2}/iy;
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Collects a value's characters; runs of escaped bytes are UTF-8 together. */
class ValueParts {
  #chars: string[] = [];
  #bytes: number[] = [];
  #broken = false;

  /** How many parts there are; a run of escaped bytes is one, whether it has ended or not. */
  get length(): number {
    return this.#chars.length + (this.#bytes.length > 0 ? 1 : 0);
  }

  addChar(char: string): void {
    this.#flush();
    this.#chars.push(char);
  }

  /** Takes the escape at `at`; returns how many characters follow the backslash, 0 for a wrong escape. */
  addEscape(text: string, at: number): number {
    const next = text[at + 1];
    if (next !== undefined && escapable.includes(next)) {
      this.addChar(next);
      return 1;
    }
    hexPair.lastIndex = at + 1;
    const pair = hexPair.exec(text)?.[0];
    if (pair === undefined) return 0;
    this.#bytes.push(Number.parseInt(pair, 16));
    return 2;
  }

  text(length: number): string | undefined {
    this.#flush();
    return this.#broken ? undefined : this.#chars.slice(0, length).join("");
  }

  #flush(): void {
    if (this.#bytes.length === 0) return;
    try {
      this.#chars.push(strictUtf8.decode(Uint8Array.from(this.#bytes)));
    } catch {
      this.#broken = true;
    }
    this.#bytes = [];
  }
}
