// Rule 32, the second half, by mail: delivered at least once through a real mail server with TLS that refuses, delays and
// dies; and nothing that stands in a directory gets into a header or to another recipient.

import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { MailConfig } from "../../src/config/config.ts";
import { deliverDue } from "../../src/notices/deliver-notices.ts";
import { tryMail } from "../../src/notices/mail.ts";
import { startNotices } from "../../src/notices/notices.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";
import {
  authority,
  type MailServer,
  mailConfigOf,
  noticesConfigOf,
  noticesIn,
  reject,
  startMailServer,
} from "./notices-world.ts";

let database: TestDatabase;
let server: MailServer;
const log = pino({ level: "silent" });
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  server = await startMailServer();
});
afterEach(async () => {
  await server.close();
  await database.db("users").delete();
  await database.db("notices").delete();
});

async function addNotice(address: string, username = "ada"): Promise<void> {
  const { db } = database;
  const key = `${username}-${Math.random()}`;
  const [user] = await db("users")
    .insert({
      directory: "main",
      directory_id: key,
      username,
      username_key: key,
      dn: key,
      dn_key: key,
      entry_hash: "-",
      required_new_user: false,
      state: "active",
    })
    .returning("id");
  const facts = { at: "2026-03-01T12:00:00Z" };
  await db("notices").insert({
    kind: "enrolled",
    channel: "mail",
    user_id: user.id,
    address,
    directory: "main",
    facts,
  });
}

function deliver(changes: Partial<MailConfig> = {}, holder = "test", signal = new AbortController().signal) {
  const config = noticesConfigOf({
    mail: mailConfigOf(server.port, changes),
    adminAddresses: ["ops@example.org"],
  });
  return deliverDue({ db: database.db, log, holder }, config, { channel: "mail", signal });
}
const makeDue = () => database.db("notices").update({ next_attempt_at: "2020-01-01" });

test("a notice arrives over TLS, with its id, in plain words, and is told to nobody else", async () => {
  await addNotice("ada@example.org");
  expect(await deliver()).toBe("done");
  const [mail] = server.mails;
  expect(mail).toMatchObject({ to: ["ada@example.org"], from: "dirmfa@example.org" });
  const [row] = await noticesIn(database.db);
  expect(row).toMatchObject({ state: "delivered", attempts: 1, last_error: null });
  expect(mail?.raw).toContain(`Message-ID: <${row?.id}@example.org>`);
  expect(mail?.raw).toContain("Subject: ACME: your second factor is set up");
  expect(mail?.raw).toContain("Auto-Submitted: auto-generated");
  expect(mail?.raw).toMatch(/for ada on 1 March 2026/);
  expect(mail?.raw).not.toContain("hunter2");
  await deliver();
  expect(server.mails).toHaveLength(1);
});

test("German mails come in German, with their umlauts", async () => {
  const { noticeTexts } = await import("../../src/config/notice-texts.ts");
  await addNotice("ada@example.org");
  const words = { ...mailConfigOf(0).words, language: "de" as const, texts: noticeTexts.de };
  await deliver({ words });
  const raw = server.mails[0]?.raw.replaceAll("=\r\n", "") ?? "";
  expect(raw).toContain("F=C3=BCr ada wurde am 1. M=C3=A4rz 2026");
});

test("what is told to admins goes to their addresses in one message", async () => {
  await database.db("notices").insert({
    kind: "run-held",
    channel: "mail",
    directory: "main",
    facts: { runId: "r-1", at: "2026-03-01T12:00:00Z" },
  });
  await deliver();
  expect(server.mails).toMatchObject([{ to: ["ops@example.org"] }]);
  expect(server.mails[0]?.raw).toContain("dirmfa run show r-1");
});

test("where no admin has an address, what is told to admins by mail ends, and is not dead", async () => {
  await database.db("notices").insert({ kind: "run-held", channel: "mail", directory: "main" });
  const config = noticesConfigOf({ mail: mailConfigOf(server.port) });
  const { signal } = new AbortController();
  await deliverDue({ db: database.db, log, holder: "test" }, config, { channel: "mail", signal });
  expect(server.mails).toEqual([]);
  expect(await noticesIn(database.db)).toMatchObject([{ state: "delivered", last_error: null }]);
});

test.each([
  ["550", "dead"],
  ["451", "waiting"],
])(
  "a recipient that is refused with %s leaves the notice %s, and the next one is delivered",
  async (code, state) => {
    server.onRecipient = async (address) => {
      if (address.startsWith("gone")) throw reject(Number(code), `user gone@example.org unknown`);
    };
    await addNotice("gone@example.org");
    await addNotice("ada@example.org");
    await deliver();
    expect(server.mails.map(({ to }) => to)).toEqual([["ada@example.org"]]);
    const rows = await noticesIn(database.db);
    expect(rows.map((row) => row.state).toSorted()).toEqual(["delivered", state].toSorted());
    const refused = rows.find((row) => row.state !== "delivered");
    expect(refused?.last_error).toBe(`mail: EENVELOPE ${code}`);
  },
);

test("a server that dies in the middle of a message, or is not there, loses nothing", async () => {
  await addNotice("ada@example.org");
  server.onMessage = async () => {
    await new Promise(() => {}); // never answers; the connections are cut below
  };
  const cut = startMailServer({
    onData(stream) {
      stream.once("data", () => stream.destroy());
      stream.on("error", () => {});
    },
    socketTimeout: 300,
  });
  const dying = await cut;
  expect(await deliver({ port: dying.port })).toBe("away");
  await dying.close();
  await makeDue();
  expect(await deliver({ port: dying.port })).toBe("away");
  expect(await noticesIn(database.db)).toMatchObject([{ state: "waiting", attempts: 2 }]);
  server.onMessage = async () => {};
  await makeDue();
  expect(await deliver()).toBe("done");
  expect(server.mails).toHaveLength(1);
});

test("what was sent by a process that died before it wrote that down is sent again, under the same id", async () => {
  await addNotice("ada@example.org");
  await deliver();
  await database.db("notices").update({ state: "waiting", ended_at: null });
  await deliver();
  const ids = server.mails.map(({ raw }) => /Message-ID: (\S+)/.exec(raw)?.[1]);
  expect(ids).toHaveLength(2);
  expect(new Set(ids)).toHaveProperty("size", 1);
});

test("of replicas that deliver at once one does it, and nobody is told twice", async () => {
  for (let i = 0; i < 12; i++) await addNotice(`user${i}@example.org`, `user${i}`);
  const outcomes = await Promise.all(["a", "b", "c"].map((holder) => deliver({}, holder)));
  expect(outcomes.toSorted()).toEqual(["busy", "busy", "done"]);
  expect(new Set(server.mails.map(({ to }) => to[0]))).toHaveProperty("size", 12);
  expect(server.mails).toHaveLength(12);
});

test("a slow mail server delays no other transaction, and a daemon that stops waits for one message alone", async () => {
  for (let i = 0; i < 5; i++) await addNotice(`user${i}@example.org`, `user${i}`);
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
  server.onMessage = () => answered;
  const config = noticesConfigOf({ mail: mailConfigOf(server.port) });
  const notices = startNotices({
    db: database.db,
    log,
    holder: "slow",
    config: () => config,
    directories: () => [],
  });
  while (server.connections === 0) await new Promise((resolve) => setTimeout(resolve, 50));
  // An act on the same users, while the message is under way.
  await database.db.raw("set lock_timeout = '1s'");
  await database.db("users").update({ display_name: "changed" });
  await addNotice("late@example.org", "late");
  const stopped = notices.stop();
  answer();
  await stopped;
  expect(server.mails.length).toBeLessThanOrEqual(2);
});

test("a certificate of another authority or for another name is refused, and so is a server without TLS", async () => {
  await addNotice("ada@example.org");
  expect(await deliver({ tls: { caPem: undefined, serverName: undefined, allowPlaintext: false } })).toBe(
    "away",
  );
  await makeDue();
  expect(
    await deliver({
      tls: { caPem: authority.certPem, serverName: "mail.example.org", allowPlaintext: false },
    }),
  ).toBe("away");
  // Offers no STARTTLS, as one whose offer somebody has taken away.
  const plain = await startMailServer({ secure: false, disabledCommands: ["STARTTLS"], authOptional: true });
  await makeDue();
  expect(await deliver({ port: plain.port, implicitTls: false })).toBe("away");
  expect(plain.mails).toEqual([]);
  await expect(tryMail(mailConfigOf(plain.port, { implicitTls: false }))).rejects.toThrow();
  await plain.close();
  const starts = await startMailServer({ secure: false });
  await makeDue();
  expect(await deliver({ port: starts.port, implicitTls: false })).toBe("done");
  expect(starts.mails).toHaveLength(1);
  await tryMail(mailConfigOf(server.port));
  await expect(
    tryMail(mailConfigOf(server.port, { auth: { user: "dirmfa", passwordSecret: "no" } })),
  ).rejects.toThrow();
  await starts.close();
});

test.each([
  "ada@example.org\r\nBcc: thief@evil.example",
  "ada@example.org\nRCPT TO:<thief@evil.example>",
  "ada@example.org, thief@evil.example",
  "ada@example.org;thief@evil.example",
  "Ada <thief@evil.example>",
  '"a@b"@example.org',
  "<ada@example.org>",
  "group: thief@evil.example;",
  "ada@[127.0.0.1]",
  "ada@example.org\u2028x",
  "ada(comment)@example.org",
  "ada@example.org> SIZE=1",
  "ada@localhost",
  "@example.org",
  `${"a".repeat(70)}@example.org`,
  "",
])("to the address %j nothing is sent", async (address) => {
  await addNotice(address);
  await deliver();
  expect(server.mails).toEqual([]);
  expect(await noticesIn(database.db)).toMatchObject([
    { state: "dead", last_error: "no usable mail address" },
  ]);
});

test.each([
  "ada\r\nBcc: thief@evil.example",
  "ada\n\n<html>",
  "\u202eada",
  "{help} {deadline} {constructor}",
  "=?utf-8?q?x?=",
  "a".repeat(1000),
  "click https://evil.example/login",
])("the username %j changes no header and makes no link", async (username) => {
  await addNotice("ada@example.org", username);
  await deliver();
  const [mail] = server.mails;
  const head = mail?.raw.split("\r\n\r\n")[0] ?? "";
  expect(head).not.toMatch(/^bcc/im);
  expect(head.match(/^to:.*$/gim)).toEqual(["To: ada@example.org"]);
  expect(mail?.to).toEqual(["ada@example.org"]);
  expect(mail?.raw).not.toContain("https://evil");
  expect(mail?.raw).not.toContain("\u202e");
});
