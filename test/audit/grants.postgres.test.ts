// The grants of docs/decisions/0013-audit-chain.md, tried. Only PostgreSQL: the embedded database has one role.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { recordAuditEvent } from "../../src/audit/audit-events-table.ts";
import { sealAuditEvents } from "../../src/audit/seal-audit-events.ts";
import { verifyAuditChain } from "../../src/audit/verify-audit-chain.ts";
import { systemClock } from "../../src/clock.ts";
import { type OpenDatabase, openDatabase } from "../../src/store/database.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let owned: TestDatabase;
let daemon: OpenDatabase;
// Roles belong to the whole server, which other test files share.
const role = `daemon_${randomBytes(4).toString("hex")}`;

beforeAll(async () => {
  owned = await openTestDatabase();
  if (owned.config.kind !== "postgres") throw new Error("needs a server");
  const password = randomBytes(8).toString("hex");
  await owned.db.raw(`create role ${role} login password '${password}'`);
  const record = await readFile(new URL("../../docs/decisions/0013-audit-chain.md", import.meta.url), "utf8");
  const sql = /```sql\n(.*?)```/s.exec(record)?.[1] ?? "";
  await owned.db.raw(sql.replaceAll("dirmfa_daemon", role));
  const url = new URL(owned.config.url);
  url.username = role;
  url.password = password;
  const log = pino({ level: "silent" });
  daemon = await openDatabase({ ...owned.config, url: url.href }, { log, owner: true });
});
afterAll(async () => {
  await daemon.close();
  await owned.db.raw(`drop owned by ${role}`);
  await owned.db.raw(`drop role ${role}`);
  await owned.close();
});

test("a daemon that does not own the tables can record, seal and verify", async () => {
  const deps = { db: daemon.db, chainKey: randomBytes(32), holder: "test", clock: systemClock };
  await daemon.db.transaction((trx) =>
    recordAuditEvent(trx, { actor: { name: "alice", via: "cli" }, action: "unlock", outcome: "done" }),
  );
  expect(await sealAuditEvents(deps)).toMatchObject({ events: 1 });
  expect(await verifyAuditChain(deps)).toMatchObject({ sealed: 1, problems: [] });
});

test.each([
  "update audit_events set actor = 'x'",
  "delete from audit_events",
  "truncate audit_events cascade",
  "update audit_seals set event_mac = ''",
  "delete from audit_seals",
  "insert into audit_anchors values (1, '', 1, now(), '')",
  "select cut_audit(1, now(), '')",
  "alter table audit_events disable trigger audit_events_append_only",
  "drop trigger audit_events_append_only on audit_events",
  "set session_replication_role = replica",
])("and it cannot %s", async (statement) => {
  await expect(daemon.db.raw(statement)).rejects.toMatchObject({ code: "42501" });
});
