// Decodes the messages a server sends (RFC 4511): results, entries, references, intermediate responses. Strict and
// without recursion; attribute values stay raw bytes. Knows nothing of sockets.

import { BerCursor, ber } from "./ber-cursor.ts";
import { protocolError } from "./connection-errors.ts";
import { decodeText, printable } from "./decode-text.ts";

export const operation = {
  bindResponse: 0x61,
  searchEntry: 0x64,
  searchDone: 0x65,
  searchReference: 0x73,
  extendedResponse: 0x78,
  intermediateResponse: 0x79,
} as const;

const controlsTag = 0xa0;
const referralTag = 0xa3;
const responseNameTag = 0x8a;
const intermediateNameTag = 0x80;
const intermediateValueTag = 0x81;

/** The LDAPResult part of any final answer (RFC 4511, 4.1.9). `diagnostic` is the server's own text, made printable. */
export interface LdapResult {
  code: number;
  matchedDn: string;
  diagnostic: string;
  referrals: string[];
  controls: ResponseControl[];
}

export interface ResponseControl {
  oid: string;
  value: Buffer | undefined;
}

/** A message opened as far as its operation: `body` stands on the operation's contents, `rest` behind it. */
export interface LdapMessage {
  messageId: number;
  operation: number;
  body: BerCursor;
  rest: BerCursor;
}

/** One attribute of an entry. Its values are checked to be well formed, and decoded only when asked for. */
export class RawAttribute {
  /** The attribute description as the server spells it, options included. */
  readonly description: string;
  readonly #buffer: Buffer;
  readonly #start: number;
  readonly #end: number;

  constructor(description: string, buffer: Buffer, start: number, end: number) {
    this.description = description;
    this.#buffer = buffer;
    this.#start = start;
    this.#end = end;
  }

  /** The first value as a view into the message, or undefined when there is none. */
  first(): Buffer | undefined {
    return this.#start === this.#end
      ? undefined
      : new BerCursor(this.#buffer, this.#start, this.#end).octets();
  }

  /** The only value as decodeText gives it, without an extra view; null when there is none, or more than one. */
  onlyText(): string | undefined | null {
    const cursor = new BerCursor(this.#buffer, this.#start, this.#end);
    if (cursor.atEnd) return null;
    const end = cursor.open(ber.octetString);
    return end === this.#end ? decodeText(this.#buffer, cursor.at, end) : null;
  }

  /** The values one after another, as views into the message: to be decoded or copied at once, never kept. */
  *values(): Generator<Buffer> {
    const cursor = new BerCursor(this.#buffer, this.#start, this.#end);
    while (!cursor.atEnd) yield cursor.octets();
  }

  get isEmpty(): boolean {
    return this.#start === this.#end;
  }

  /** True when there is more than one value; cheaper than counting them. */
  get hasSeveral(): boolean {
    const cursor = new BerCursor(this.#buffer, this.#start, this.#end);
    if (cursor.atEnd) return false;
    cursor.skip();
    return !cursor.atEnd;
  }
}

export interface RawEntry {
  dn: Buffer;
  attributes: RawAttribute[];
}

export interface IntermediateResponse {
  oid: string | undefined;
  value: Buffer | undefined;
}

export function openMessage(bytes: Buffer): LdapMessage {
  const envelope = new BerCursor(bytes).enter(ber.sequence);
  const messageId = envelope.integer();
  if (messageId < 0) throw protocolError("a negative message id");
  const tag = envelope.peekTag();
  if (tag === -1) throw protocolError("a message without an operation");
  const body = envelope.enter(tag);
  return { messageId, operation: tag, body, rest: envelope };
}

export function decodeEntry(message: LdapMessage): RawEntry {
  const { body } = message;
  const dn = body.octets();
  const list = body.enter(ber.sequence);
  const attributes: RawAttribute[] = [];
  while (!list.atEnd) {
    const attribute = list.enter(ber.sequence);
    const nameEnd = attribute.open(ber.octetString);
    // Attribute descriptions are ASCII (RFC 4512, 2.5); anything else matches no configured name.
    const description = attribute.buffer.toString("latin1", attribute.at, nameEnd);
    attribute.at = nameEnd;
    const valuesEnd = attribute.open(ber.set);
    const start = attribute.at;
    while (attribute.at < valuesEnd) attribute.at = attribute.open(ber.octetString);
    if (attribute.at !== valuesEnd) throw protocolError("a value is longer than its set");
    attributes.push(new RawAttribute(description, attribute.buffer, start, valuesEnd));
  }
  return { dn, attributes };
}

/** The LDAPResult of a bind, search or extended response, with the controls beside it. */
export function decodeResult(message: LdapMessage): LdapResult {
  const { body } = message;
  const code = body.integer(ber.enumerated);
  const matchedDn = printable(body.text());
  const diagnostic = printable(body.text());
  const referrals = body.peekTag() === referralTag ? decodeUris(body.enter(referralTag)) : [];
  return { code, matchedDn, diagnostic, referrals, controls: decodeControls(message.rest) };
}

/** The name in an extended response, such as the one of a notice of disconnection (RFC 4511, 4.4.1). */
export function decodeExtendedName(body: BerCursor): string | undefined {
  while (!body.atEnd) {
    if (body.peekTag() === responseNameTag) return body.text(responseNameTag);
    body.skip();
  }
  return undefined;
}

export function decodeReferences(message: LdapMessage): string[] {
  return decodeUris(message.body);
}

export function decodeIntermediate(message: LdapMessage): IntermediateResponse {
  const { body } = message;
  const oid = body.peekTag() === intermediateNameTag ? body.text(intermediateNameTag) : undefined;
  const value =
    body.peekTag() === intermediateValueTag ? Buffer.from(body.octets(intermediateValueTag)) : undefined;
  return { oid, value };
}

// A referral lists a few servers that hold the same data; more than this is not one.
const mostUris = 100;

function decodeUris(cursor: BerCursor): string[] {
  const uris: string[] = [];
  while (!cursor.atEnd) {
    if (uris.length === mostUris) throw protocolError("a referral without end");
    uris.push(printable(cursor.text()));
  }
  return uris;
}

function decodeControls(rest: BerCursor): ResponseControl[] {
  if (rest.peekTag() !== controlsTag) return [];
  const list = rest.enter(controlsTag);
  const controls: ResponseControl[] = [];
  while (!list.atEnd) {
    const control = list.enter(ber.sequence);
    const oid = control.text();
    if (control.peekTag() === ber.boolean) control.skip();
    // Copied: a view would keep the whole received chunk alive for as long as the cookie.
    const value = control.peekTag() === ber.octetString ? Buffer.from(control.octets()) : undefined;
    controls.push({ oid, value });
  }
  return controls;
}
