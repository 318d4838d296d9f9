// A scripted LDAP server for what no real one can be made to do: a script answers each request with bytes of its choice.
// Listens on loopback; knows as much BER as it takes to read a request and to write answers, right or wrong.

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { usualLimits } from "../../scripts/servers/usual-limits.ts";
import type { DirectoryConfig } from "../../src/config/config.ts";

/** What a client asked, as far as scripts care. */
export interface FakeRequest {
  id: number;
  operation: "bind" | "search" | "extended" | "abandon" | "unbind" | "other";
  /** Of a search: base DN and scope. */
  base: string;
  scope: "base" | "one" | "sub";
  /** Of a search: the attributes asked for. */
  attributes: string[];
  /** Of a paged search: the cookie, "" for the first page; undefined without the control. */
  cookie: string | undefined;
  /** How many connections the server had seen when this request came. */
  connection: number;
  bytes: Buffer;
}

/** Answers one request; bytes that it returns are sent. Undefined leaves the client waiting. */
export type FakeScript = (request: FakeRequest, socket: Socket) => Buffer | Buffer[] | undefined;

export interface FakeLdapServer {
  readonly url: string;
  readonly port: number;
  readonly requests: FakeRequest[];
  /** Connections accepted so far. */
  readonly connections: number;
  stop(): Promise<void>;
}

export async function startFakeLdapServer(script: FakeScript): Promise<FakeLdapServer> {
  const sockets = new Set<Socket>();
  const requests: FakeRequest[] = [];
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    const connection = connections;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {}); // clients under test break connections on purpose
    let received = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      // A client that begins TLS is left waiting.
      while (received[0] === 0x30 && lengthOfFirst(received) <= received.length) {
        const length = lengthOfFirst(received);
        const request = readRequest(received.subarray(0, length), connection);
        received = received.subarray(length);
        requests.push(request);
        const answer = script(request, socket);
        if (answer !== undefined && socket.writable) socket.write(Buffer.concat([answer].flat()));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  return {
    url: `ldap://127.0.0.1:${port}`,
    port,
    requests,
    get connections() {
      return connections;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** BER with a definite length. */
export function tlv(tag: number, ...contents: (Buffer | string)[]): Buffer {
  const body = Buffer.concat(contents.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([Buffer.from([tag, 0x84]), length, body]);
}

export function integer(value: number, tag = 0x02): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return tlv(tag, bytes);
}

/** One LDAP message around an operation, with controls where given. */
export function message(id: number, operation: Buffer, ...controls: Buffer[]): Buffer {
  return tlv(0x30, integer(id), operation, ...(controls.length > 0 ? [tlv(0xa0, ...controls)] : []));
}

export type FakeAttributes = Readonly<Record<string, (string | Buffer)[]>>;

export function entry(id: number, dn: string | Buffer, attributes: FakeAttributes): Buffer {
  const list = Object.entries(attributes).map(([name, values]) =>
    tlv(0x30, tlv(0x04, name), tlv(0x31, ...values.map((value) => tlv(0x04, value)))),
  );
  return message(id, tlv(0x64, tlv(0x04, dn), tlv(0x30, ...list)));
}

export function result(
  id: number,
  code: number,
  options: {
    operation?: number;
    diagnostic?: string;
    referrals?: string[];
    cookie?: string;
    controls?: Buffer[];
  } = {},
): Buffer {
  const referrals =
    options.referrals === undefined ? [] : [tlv(0xa3, ...options.referrals.map((uri) => tlv(0x04, uri)))];
  const body = tlv(
    options.operation ?? 0x65,
    integer(code, 0x0a),
    tlv(0x04, ""),
    tlv(0x04, options.diagnostic ?? ""),
    ...referrals,
  );
  const paging = options.cookie === undefined ? [] : [pagingControl(options.cookie)];
  return message(id, body, ...paging, ...(options.controls ?? []));
}

export function reference(id: number, ...uris: string[]): Buffer {
  return message(id, tlv(0x73, ...uris.map((uri) => tlv(0x04, uri))));
}

export function noticeOfDisconnection(code: number, diagnostic: string): Buffer {
  const name = tlv(0x8a, "1.3.6.1.4.1.1466.20036");
  return message(0, tlv(0x78, integer(code, 0x0a), tlv(0x04, ""), tlv(0x04, diagnostic), name));
}

function pagingControl(cookie: string): Buffer {
  const value = tlv(0x30, integer(0), tlv(0x04, cookie));
  return tlv(0x30, tlv(0x04, pagedResultsOid), tlv(0x04, value));
}

const pagedResultsOid = "1.2.840.113556.1.4.319";
export const fakeBase = "ou=people,dc=fake";

/** A user as most scripts need it. */
export function userEntry(id: number, number: number, more: FakeAttributes = {}): Buffer {
  const attributes = { entryUUID: [uuidOf(number)], uid: [`user${number}`], cn: [`User ${number}`], ...more };
  return entry(id, `uid=user${number},${fakeBase}`, attributes);
}

export function uuidOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

/**
 * A script for a server that binds and answers for its root DSE and base entries, so that a test scripts only the
 * searches it is about: `listing` gets every search with another scope than base.
 */
export function scriptFor(listing: FakeScript, overrides: FakeScript = () => undefined): FakeScript {
  return (request, socket) => {
    const answer = overrides(request, socket);
    if (answer !== undefined) return answer;
    if (request.operation === "bind") return result(request.id, 0, { operation: 0x61 });
    if (request.operation !== "search") return undefined;
    if (request.scope !== "base") return listing(request, socket);
    if (request.base === "")
      return [entry(request.id, "", { namingContexts: ["dc=fake"] }), result(request.id, 0)];
    return [entry(request.id, request.base, { entryUUID: [uuidOf(0)] }), result(request.id, 0)];
  };
}

/** What a client needs to list this server's users. */
export function directoryConfigForFake(
  server: { url: string },
  overrides: Partial<DirectoryConfig> = {},
): DirectoryConfig {
  return {
    name: "fake",
    kind: undefined,
    urls: [server.url],
    tls: { startTls: false, caPem: undefined, serverName: undefined, allowPlaintext: false },
    bind: { dn: "cn=reader,dc=fake", passwordSecret: "correct horse" },
    users: {
      bases: [fakeBase],
      filter: undefined,
      attributes: { id: undefined, username: undefined, displayName: undefined, email: undefined },
      disabled: undefined,
      aliases: [],
      aliasDomain: undefined,
    },
    groups: undefined,
    schedule: undefined,
    timeZone: "UTC",
    jitterMs: 0,
    limits: {
      ...usualLimits,
      confirmRemovals: 1,
      pageSize: 100,
      messageBytes: 1024 * 1024,
    },
    timeouts: { connectMs: 2_000, idleMs: 2_000, listingMs: 20_000 },
    onDemand: { enabled: true, timeoutMs: 2_000, perMinute: 60, unknownForMs: 60_000 },
    ...overrides,
  };
}

// The length of the first element, or more than there is while it is not known.
function lengthOfFirst(bytes: Buffer): number {
  if (bytes.length < 2) return Number.POSITIVE_INFINITY;
  const first = bytes[1] ?? 0;
  if (first < 0x80) return 2 + first;
  const count = first & 0x7f;
  if (bytes.length < 2 + count) return Number.POSITIVE_INFINITY;
  return 2 + count + bytes.readUIntBE(2, count);
}

const operations: Readonly<Record<number, FakeRequest["operation"]>> = {
  96: "bind", // 0x60
  99: "search", // 0x63
  119: "extended", // 0x77
  80: "abandon", // 0x50
  66: "unbind", // 0x42
};

function readRequest(bytes: Buffer, connection: number): FakeRequest {
  const [envelope] = elementsOf(bytes);
  const [id, operation, controls] = elementsOf(envelope?.contents ?? Buffer.alloc(0));
  const request: FakeRequest = {
    id: readInteger(id?.contents),
    operation: operations[operation?.tag ?? 0] ?? "other",
    base: "",
    scope: "sub",
    attributes: [],
    cookie: undefined,
    connection,
    bytes: Buffer.from(bytes),
  };
  if (request.operation !== "search" || operation === undefined) return request;
  const [base, scope, , , , , , attributes] = elementsOf(operation.contents);
  request.base = base?.contents.toString() ?? "";
  request.scope = (["base", "one", "sub"] as const)[readInteger(scope?.contents)] ?? "sub";
  request.attributes = elementsOf(attributes?.contents ?? Buffer.alloc(0)).map(({ contents }) =>
    contents.toString(),
  );
  for (const control of elementsOf(controls?.contents ?? Buffer.alloc(0))) {
    const parts = elementsOf(control.contents);
    if (parts[0]?.contents.toString() !== pagedResultsOid) continue;
    const value = elementsOf(parts.at(-1)?.contents ?? Buffer.alloc(0));
    request.cookie = elementsOf(value[0]?.contents ?? Buffer.alloc(0))[1]?.contents.toString();
  }
  return request;
}

function elementsOf(bytes: Buffer): { tag: number; contents: Buffer }[] {
  const elements: { tag: number; contents: Buffer }[] = [];
  for (let rest = bytes; rest.length > 1; ) {
    const length = lengthOfFirst(rest);
    const header = (rest[1] ?? 0) < 0x80 ? 2 : 2 + ((rest[1] ?? 0) & 0x7f);
    elements.push({ tag: rest[0] ?? 0, contents: rest.subarray(header, length) });
    rest = rest.subarray(length);
  }
  return elements;
}

function readInteger(bytes: Buffer | undefined): number {
  return bytes === undefined || bytes.length === 0 ? 0 : bytes.readIntBE(0, bytes.length);
}
