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

// Words of ASCII that mean nothing else, one space apart: their key is their lower case.
const plainWords = "[!$%&'()*./0-9:?@A-Z[\\]^_`a-z{|}~-]+(?: [!$%&'()*./0-9:?@A-Z[\\]^_`a-z{|}~-]+)*";
const plainValue = new RegExp(`^${plainWords}$`);
// Most DNs hold nothing else, and the key of a million of them is wanted quickly.
const plainDn = new RegExp(`^(?:[a-zA-Z][a-zA-Z0-9-]*=${plainWords}(?:,(?!$)|$))+$`);

// Names for one attribute type that servers take for another (RFC 4519 and its OIDs). Keys are lower case.
const shortNames: ReadonlyMap<string, string> = new Map([
  ["commonname", "cn"],
  ["2.5.4.3", "cn"],
  ["userid", "uid"],
  ["0.9.2342.19200300.100.1.1", "uid"],
  ["domaincomponent", "dc"],
  ["0.9.2342.19200300.100.1.25", "dc"],
  ["organizationalunitname", "ou"],
  ["2.5.4.11", "ou"],
  ["organizationname", "o"],
  ["2.5.4.10", "o"],
  ["countryname", "c"],
  ["2.5.4.6", "c"],
  ["localityname", "l"],
  ["2.5.4.7", "l"],
  ["stateorprovincename", "st"],
  ["2.5.4.8", "st"],
  ["streetaddress", "street"],
  ["2.5.4.9", "street"],
  ["surname", "sn"],
  ["2.5.4.4", "sn"],
]);
const longNames = [...shortNames.keys()].filter((name) => /^[a-z]/.test(name));
const otherNames = new RegExp(`(?:^|,)(?:${longNames.join("|")})=`, "i");

/** An attribute type as it is compared: lower case, without `OID.`, the short name where there are several. */
export function attributeTypeKey(type: string): string {
  const lower = type.toLowerCase();
  const name = lower.startsWith("oid.") ? lower.slice(4) : lower;
  return shortNames.get(name) ?? name;
}

function keyOfRdn(rdn: Ava[]): string {
  const [only] = rdn;
  if (rdn.length === 1 && only !== undefined) return keyOfAva(only);
  return rdn.map(keyOfAva).sort().join("+");
}

function keyOfAva({ type, value, isBer }: Ava): string {
  return `${attributeTypeKey(type)}=${isBer ? value : keyOfValue(value)}`;
}

function keyOfValue(value: string): string {
  if (plainValue.test(value)) return value.toLowerCase();
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

const plainRun = /[^,;+"<>\\\0]+/y;

function parseValue(text: string, start: number): ParsedValue | undefined {
  const parts = new ValueParts();
  let at = start;
  for (;;) {
    plainRun.lastIndex = at;
    const run = plainRun.exec(text)?.[0];
    if (run !== undefined) {
      at += run.length;
      // Spaces before a separator or the end do not count; an escaped one does.
      parts.addText(text[at] === "\\" ? run : trimEndSpaces(run));
    }
    if (text[at] !== "\\") break;
    const taken = parts.addEscape(text, at);
    if (taken === 0) return undefined;
    at += 1 + taken;
  }
  const value = parts.text();
  const end = text[at];
  if (value === undefined || (end !== undefined && end !== "," && end !== ";" && end !== "+"))
    return undefined;
  return { value, end: at };
}

function trimEndSpaces(text: string): string {
  let end = text.length;
  while (text[end - 1] === " ") end -= 1;
  return text.slice(0, end);
}

function parseHexValue(text: string, start: number): ParsedValue | undefined {
  hexValue.lastIndex = start;
  const value = hexValue.exec(text)?.[0];
  if (value === undefined) return undefined;
  return { value: value.toLowerCase(), end: skipSpaces(text, start + value.length) };
}

const quotedRun = /[^"\\\0]+/y;

// RFC 2253's predecessor quotes values, and some software still writes it.
function parseQuoted(text: string, start: number): ParsedValue | undefined {
  const parts = new ValueParts();
  let at = start;
  for (;;) {
    quotedRun.lastIndex = at;
    const run = quotedRun.exec(text)?.[0] ?? "";
    parts.addText(run);
    at += run.length;
    if (text[at] !== "\\") break;
    const taken = parts.addEscape(text, at);
    if (taken === 0) return undefined;
    at += 1 + taken;
  }
  if (text[at] !== '"') return undefined;
  const end = skipSpaces(text, at + 1);
  const value = parts.text();
  if (value === undefined || (end < text.length && !",;+".includes(text[end] ?? ""))) return undefined;
  return { value, end };
}

const escapable = ' "#+,;<=>\\';
const hexPair = /[0-9a-f]{2}/iy;
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Puts a value together; escaped bytes that follow each other are UTF-8 together. */
class ValueParts {
  #text = "";
  #bytes: number[] = [];
  #broken = false;

  addText(text: string): void {
    this.#flush();
    this.#text += text;
  }

  /** Takes the escape at `at`; returns how many characters follow the backslash, 0 for a wrong escape. */
  addEscape(text: string, at: number): number {
    const next = text[at + 1];
    if (next !== undefined && escapable.includes(next)) {
      this.addText(next);
      return 1;
    }
    hexPair.lastIndex = at + 1;
    const pair = hexPair.exec(text)?.[0];
    if (pair === undefined) return 0;
    this.#bytes.push(Number.parseInt(pair, 16));
    return 2;
  }

  /** Undefined when escaped bytes are not UTF-8. */
  text(): string | undefined {
    this.#flush();
    return this.#broken ? undefined : this.#text;
  }

  #flush(): void {
    if (this.#bytes.length === 0) return;
    try {
      this.#text += strictUtf8.decode(Uint8Array.from(this.#bytes));
    } catch {
      this.#broken = true;
    }
    this.#bytes = [];
  }
}
