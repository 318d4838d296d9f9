// What a broken or hostile server can send at the level of bytes: it ends the listing with a reason, and neither blocks
// the main thread nor fills the memory.

import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { listInThread } from "../../../src/directory/list-directory.ts";
import {
  directoryConfigForFake,
  entry,
  type FakeLdapServer,
  type FakeScript,
  fakeBase,
  integer,
  message,
  result,
  scriptFor,
  startFakeLdapServer,
  tlv,
  userEntry,
  uuidOf,
} from "../../support/fake-ldap-server.ts";
import { collect, failureOf } from "../listing.ts";

let server: FakeLdapServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function listFrom(listing: FakeScript, overrides?: FakeScript) {
  server = await startFakeLdapServer(scriptFor(listing, overrides));
  return collect(directoryConfigForFake(server));
}

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
/** An id in a message's first bytes, which some of the cases need at a place of their own. */
const idByte = (id: number) => id.toString(16).padStart(2, "0");

describe("bytes that are not LDAP", () => {
  test.each<[string, (id: number) => Buffer]>([
    [
      "a reference whose value is cut off within a whole message",
      (id) => hex(`30 07 02 01 ${idByte(id)} 73 02 04 64`),
    ],
    [
      "an entry whose value is longer than its set",
      (id) => message(id, tlv(0x64, tlv(0x04, "cn=a"), tlv(0x30, hex("30 06 04 01 61 31 01 04")))),
    ],
    [
      "a message of indefinite length",
      (id) => hex(`30 80 02 01 ${idByte(id)} 65 07 0a 01 00 04 00 04 00 00 00`),
    ],
    ["a value of indefinite length", (id) => message(id, tlv(0x64, hex("04 80 61 00 00")))],
    ["a message length of five bytes", () => hex("30 85 00 00 00 00 05 02 01 01")],
    ["a value length of 127 bytes", (id) => message(id, tlv(0x64, hex("04 ff 01 02 03")))],
    ["a message that does not begin with a sequence", () => Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")],
    [
      "a message id of five bytes",
      () => tlv(0x30, tlv(0x02, hex("01 02 03 04 05")), tlv(0x65, hex("0a 01 00 04 00 04 00"))),
    ],
    ["a message id of no bytes", () => tlv(0x30, tlv(0x02), tlv(0x65, hex("0a 01 00 04 00 04 00")))],
    ["a negative message id", () => message(-1, tlv(0x65, hex("0a 01 00 04 00 04 00")))],
    ["a message without an operation", (id) => tlv(0x30, integer(id))],
    ["an answer to another request", (id) => result(id + 1, 0)],
    ["an answer of another operation", (id) => result(id, 0, { operation: 0x61 })],
    ["a result without a code", (id) => message(id, tlv(0x65, tlv(0x04, ""), tlv(0x04, "")))],
    ["an empty result", (id) => message(id, tlv(0x65))],
    ["an empty message", () => hex("30 00")],
  ])("%s is a protocol error", async (_name, bytes) => {
    const failure = await failureOf(listFrom(({ id }) => [userEntry(id, 1), bytes(id)]));
    expect(failure.code).toBe("directory-protocol-error");
    expect(failure.remedy).toContain("LDAP port");
  });

  test("any bytes end the listing with a reason, and at once", async () => {
    let bytes: Buffer = Buffer.alloc(0);
    const fuzzed = await startFakeLdapServer(
      scriptFor((_request, socket) => {
        socket.end(bytes);
        return undefined;
      }),
    );
    server = fuzzed;
    const valid = Buffer.concat([
      userEntry(5, 1),
      userEntry(5, 2, { mail: ["a@b"] }),
      result(5, 0, { cookie: "x" }),
    ]);
    const mutated = fc
      .tuple(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(valid.length),
      )
      .map(([edits, length]) => {
        const copy = Buffer.from(valid);
        for (const [at, byte] of edits) copy[at] = byte;
        return copy.subarray(0, length);
      });
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), async (input) => {
        bytes = Buffer.from(input);
        const failure = await failureOf(collect(directoryConfigForFake(fuzzed)));
        expect(failure.code).toMatch(/^directory-/);
      }),
      { numRuns: 200 },
    );
  });

  test("deep nesting is stepped over, not followed", async () => {
    const depth = 10_000;
    const nested = Buffer.alloc(depth * 6);
    for (let level = 0; level < depth; level += 1) {
      nested.writeUInt16BE(0xa084, level * 6);
      nested.writeUInt32BE((depth - level - 1) * 6, level * 6 + 2);
    }
    const { usernames } = await listFrom(({ id }) => [
      userEntry(id, 1),
      message(id, tlv(0x79, nested)),
      result(id, 0, { cookie: "" }),
    ]);
    expect(usernames).toEqual(["user1"]);
  });
});

describe("bounds", () => {
  test("a message of two gigabytes is refused when its length is known", async () => {
    const failure = await failureOf(listFrom(() => hex("30 84 7f ff ff ff 02 01 04")));
    expect(failure.code).toBe("directory-message-too-large");
    expect(failure.remedy).toContain("limits.messageBytes");
  });

  test("a message up to the limit is read, however it is cut into chunks", async () => {
    const mail = Array.from({ length: 999 }, (_, number) => `${number}@${"x".repeat(200)}.org`);
    const { usernames } = await listFrom(({ id }, socket) => {
      const bytes = Buffer.concat([
        userEntry(id, 1, { mail }),
        userEntry(id, 2),
        result(id, 0, { cookie: "" }),
      ]);
      void sendInPieces(bytes, 9_973, (piece) => socket.write(piece));
      return undefined;
    });
    expect(usernames).toEqual(["user1", "user2"]);
  });

  test("a message that comes byte by byte is read", async () => {
    const { usernames } = await listFrom(({ id }, socket) => {
      const bytes = Buffer.concat([userEntry(id, 1), result(id, 0, { cookie: "" })]);
      void sendInPieces(bytes, 1, (piece) => socket.write(piece));
      return undefined;
    });
    expect(usernames).toEqual(["user1"]);
  });

  test("a silent server is given up after the idle time", async () => {
    server = await startFakeLdapServer(scriptFor(() => undefined));
    const timeouts = { connectMs: 2_000, idleMs: 200, listingMs: 20_000 };
    const failure = await failureOf(collect(directoryConfigForFake(server, { timeouts })));
    expect(failure.code).toBe("directory-timeout");
    expect(failure.message).toContain("0.2 s");
  });

  test("a server that never answers the bind is given up after the connect time", async () => {
    server = await startFakeLdapServer(() => undefined);
    const timeouts = { connectMs: 200, idleMs: 2_000, listingMs: 20_000 };
    const failure = await failureOf(collect(directoryConfigForFake(server, { timeouts })));
    expect(failure).toMatchObject({ code: "directory-timeout", fields: { phase: "bind" } });
  });

  test("a slow reader pauses the server, and the idle time does not run meanwhile", async () => {
    server = await startFakeLdapServer(
      scriptFor(({ id, cookie }) => {
        const page = cookie === "" ? 0 : Number(cookie);
        const entries = Array.from({ length: 100 }, (_, row) => userEntry(id, page * 100 + row));
        return [...entries, result(id, 0, { cookie: page === 2 ? "" : String(page + 1) })];
      }),
    );
    const timeouts = { connectMs: 2_000, idleMs: 500, listingMs: 20_000 };
    const seen: number[] = [];
    const report = await listInThread(directoryConfigForFake(server, { timeouts }), {
      signal: new AbortController().signal,
      onPage: async (page) => {
        await sleep(700);
        if (page.kind === "entries") seen.push(page.entries.rows);
      },
      onNote: () => {},
    });
    expect(seen).toEqual([100, 100, 100]);
    expect(report.entries).toBe(300);
  });
});

describe("the main thread", () => {
  test("is not blocked and does not grow while a server sends entries without end", async () => {
    server = await startFakeLdapServer(scriptFor(({ id }, socket) => endlessly(socket, blockOf(id))));
    const stop = new AbortController();
    const delays = watchDelays();
    let rows = 0;
    const listing = listInThread(directoryConfigForFake(server), {
      signal: stop.signal,
      onPage: async (page) => {
        if (page.kind === "entries") rows += page.entries.rows;
        if (rows > 100_000) stop.abort();
      },
      onNote: () => {},
    });
    const failure = await failureOf(listing);
    expect(failure.code).toBe("aborted");
    // The fake server shares this thread and the tests share the machine, so that some delay is not the listing's.
    expect(delays.longestMs()).toBeLessThan(2_000);
    expect(process.memoryUsage().rss - delays.rssAtStart).toBeLessThan(200 * 1024 * 1024);
  });

  test("keeps running while the reader takes no page, and the server is held back", async () => {
    let sent = 0;
    server = await startFakeLdapServer(
      scriptFor(({ id }, socket) => endlessly(socket, blockOf(id), (bytes) => (sent += bytes))),
    );
    const stop = new AbortController();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const listing = listInThread(directoryConfigForFake(server), {
      signal: stop.signal,
      onPage: () => held,
      onNote: () => {},
    });
    listing.catch(() => {});
    // Without back-pressure this never comes to rest.
    for (let before = -1; sent === 0 || sent !== before; ) {
      before = sent;
      await sleep(300);
    }
    expect(sent).toBeLessThan(32 * 1024 * 1024);
    stop.abort();
    release();
    expect((await failureOf(listing)).code).toBe("aborted");
  });
});

test("a group of 100,000 members in one message is read, and handed over in pages", async () => {
  const members = tlv(
    0x31,
    ...Array.from({ length: 100_000 }, (_, row) => tlv(0x04, `uid=user${row},${fakeBase}`)),
  );
  const attribute = (name: string, values: Buffer) => tlv(0x30, tlv(0x04, name), values);
  const attributes = tlv(
    0x30,
    attribute("entryUUID", tlv(0x31, tlv(0x04, uuidOf(1)))),
    attribute("cn", tlv(0x31, tlv(0x04, "everyone"))),
    attribute("member", members),
  );
  server = await startFakeLdapServer(
    scriptFor(({ id, attributes: asked }) => {
      if (!asked.includes("member")) return [result(id, 0, { cookie: "" })];
      const group = message(id, tlv(0x64, tlv(0x04, `cn=everyone,${fakeBase}`), attributes));
      return [group, result(id, 0, { cookie: "" })];
    }),
  );
  const config = directoryConfigForFake(server, {
    groups: {
      bases: [fakeBase],
      filter: undefined,
      attributes: { id: undefined, name: undefined },
      members: undefined,
      nested: true,
    },
  });
  const pages: number[] = [];
  const limits = { ...config.limits, messageBytes: 16 * 1024 * 1024 };
  const { members: listed } = await listInThread(
    { ...config, limits },
    {
      signal: new AbortController().signal,
      onPage: async (page) => void (page.kind === "groups" && pages.push(page.members.rows)),
      onNote: () => {},
    },
  );
  expect(listed).toBe(100_000);
  expect(Math.max(...pages)).toBeLessThanOrEqual(5_000);
});

test("an entry with 250,000 empty values is read without as many objects", async () => {
  const before = process.memoryUsage().heapUsed;
  const { skipped } = await listFrom(({ id }) => {
    const values = tlv(0x31, Buffer.concat(Array.from({ length: 250_000 }, () => hex("04 00"))));
    const attributes = tlv(
      0x30,
      tlv(0x30, tlv(0x04, "entryUUID"), tlv(0x31, tlv(0x04, uuidOf(1)))),
      tlv(0x30, tlv(0x04, "uid"), values),
    );
    return [
      message(id, tlv(0x64, tlv(0x04, `uid=a,${fakeBase}`), attributes)),
      result(id, 0, { cookie: "" }),
    ];
  });
  expect(skipped).toEqual([expect.objectContaining({ reason: "too-long", directoryId: uuidOf(1) })]);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
});

test("names that look like properties of every object are names of attributes, and nothing else", async () => {
  const { usernames } = await listFrom(({ id }) => [
    entry(id, `uid=a,${fakeBase}`, {
      entryUUID: [uuidOf(1)],
      uid: ["a"],
      constructor: ["x"],
      toString: ["y"],
    }),
    result(id, 0, { cookie: "" }),
  ]);
  expect(usernames).toEqual(["a"]);
});

async function sendInPieces(bytes: Buffer, size: number, send: (piece: Buffer) => void): Promise<void> {
  for (let at = 0; at < bytes.length; at += size) {
    send(bytes.subarray(at, at + size));
    await sleep(0);
  }
}

function blockOf(id: number): Buffer {
  return Buffer.concat(Array.from({ length: 500 }, (_, row) => userEntry(id, row)));
}

function endlessly(socket: Socket, block: Buffer, count: (bytes: number) => void = () => {}): undefined {
  const send = () => {
    if (socket.destroyed) return;
    count(block.length);
    if (socket.write(block)) setImmediate(send);
    else socket.once("drain", send);
  };
  send();
}

function watchDelays(): { longestMs(): number; rssAtStart: number } {
  let last = performance.now();
  let longest = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 5);
  timer.unref();
  return {
    rssAtStart: process.memoryUsage().rss,
    longestMs: () => {
      clearInterval(timer);
      return longest;
    },
  };
}
