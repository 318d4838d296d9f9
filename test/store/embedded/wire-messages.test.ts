// The Postgres protocol as the embedded bridge cuts it into messages.

import fc from "fast-check";
import { expect, test } from "vitest";
import {
  encodeReset,
  MessageReader,
  renameStatement,
  splitReady,
  WireError,
} from "../../../src/store/embedded/wire-messages.ts";

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

function read(reader: MessageReader): string[] {
  const found: string[] = [];
  for (let next = reader.nextMessage(); next; next = reader.nextMessage()) {
    found.push(`${next.type}${next.bytes.subarray(5).toString("latin1")}`);
  }
  return found;
}

const texts = fc.array(
  fc.tuple(fc.constantFrom("Q", "P", "S"), fc.string({ unit: "binary-ascii", maxLength: 20 })),
);

test("messages are the same however the bytes are cut", () => {
  fc.assert(
    fc.property(texts, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (sent, cuts) => {
      const bytes = Buffer.concat(sent.map(([type, body]) => message(type, Buffer.from(body, "latin1"))));
      const reader = new MessageReader(100);
      const found: string[] = [];
      for (let at = 0; at < bytes.length; ) {
        const end = at + (cuts.next().value ?? 1);
        reader.push(bytes.subarray(at, end));
        found.push(...read(reader));
        at = end;
      }
      expect(found).toEqual(sent.map(([type, body]) => type + body));
    }),
  );
});

test.for([-1, 0, 3, 101, 0x7fff_ffff])(
  "a message that claims %i bytes is refused before it is awaited",
  (length) => {
    const reader = new MessageReader(100);
    const head = Buffer.from("Q0000");
    head.writeInt32BE(length, 1);
    reader.push(head);
    expect(() => reader.nextMessage()).toThrow(WireError);
  },
);

test.for([-1, 0, 7, 10_001])("a startup packet that claims %i bytes is refused", (length) => {
  const reader = new MessageReader(100_000);
  const head = Buffer.alloc(4);
  head.writeInt32BE(length);
  reader.push(head);
  expect(() => reader.nextStartup()).toThrow(WireError);
});

test("any bytes are cut into messages or refused, and nothing else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const reader = new MessageReader(100);
      reader.push(Buffer.from(bytes));
      try {
        for (let next = reader.nextMessage(); next; next = reader.nextMessage()) renameStatement(next, "c1_");
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }),
  );
});

test.for([
  ["P", "name\0select 1\0\0\0", "c1_name\0select 1\0\0\0", "c1_name"],
  ["P", "\0select 1\0\0\0", "\0select 1\0\0\0", undefined],
  ["B", "portal\0name\0rest", "portal\0c1_name\0rest", "c1_name"],
  ["B", "portal\0\0rest", "portal\0\0rest", undefined],
  ["B", "portal", "portal", undefined],
  ["D", "Sname\0", "Sc1_name\0", "c1_name"],
  ["D", "Pname\0", "Pname\0", undefined],
  ["C", "Sname\0", "Sc1_name\0", "c1_name"],
  ["E", "name\0", "name\0", undefined],
] as const)("in %s %j the prepared statement alone is renamed", ([type, body, renamed, name]) => {
  const result = renameStatement({ type, bytes: message(type, Buffer.from(body)) }, "c1_");
  expect(result.bytes).toEqual(message(type, Buffer.from(renamed)));
  expect(result.name).toBe(name);
});

test("a reply's status is that of its last ReadyForQuery", () => {
  const row = message("D", Buffer.from("Z"));
  const reply = Buffer.concat([message("Z", Buffer.from("E")), row, message("Z", Buffer.from("I"))]);
  expect(splitReady(reply)).toEqual({ status: "I", replyWithoutReady: row });
  expect(splitReady(row).status).toBeUndefined();
});

test("a statement's name is framed with its length in bytes, not characters", () => {
  const close = encodeReset(["é"]).subarray(-5 - 9, -5);
  expect(close.toString("latin1")).toBe("C\0\0\0\x08SÃ©\0");
});
