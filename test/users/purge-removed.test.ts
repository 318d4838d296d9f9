// Users removed long ago are purged (rule 7).

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { purgeRemovedUsers } from "../../src/users/purge-removed.ts";
import { emptyTables, openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
beforeEach(() => emptyTables(database));
afterAll(() => database.close());

const day = 86_400_000;
const actor = { name: "retention", via: "daemon" } as const;

test("users removed longer ago than the retention time are purged, each with an audit event; others stay", async () => {
  const { db } = database;
  const insert = (username: string, removed: string | null) =>
    db("users").insert({
      directory: "example",
      directory_id: username,
      username,
      username_key: username,
      dn: username,
      dn_key: username,
      entry_hash: "",
      required_new_user: true,
      state: removed === null ? "active" : "removed",
      removed_at: removed === null ? null : db.raw(`now() - interval '${removed}'`),
    });
  await insert("active", null);
  await insert("yesterday", "1 day");
  await insert("almost", "29 days 23:59:00");
  await insert("over", "30 days 00:01:00");
  await insert("longago", "3 years");

  const purged = await purgeRemovedUsers({ db }, { retentionMs: 30 * day, actor });

  expect(purged).toBe(2);
  const left = await db("users").select("username").orderBy("username");
  expect(left.map((row) => row.username)).toEqual(["active", "almost", "yesterday"]);
  const events = await db("audit_events").where({ action: "user-purge" });
  expect(events.map((event) => event.details.username).sort()).toEqual(["longago", "over"]);
  expect(events[0]).toMatchObject({ actor: "retention", via: "daemon", outcome: "done" });
});

test("more users than one batch are purged, and a second replica at the same time purges none twice", async () => {
  const { db } = database;
  await db.raw(
    `insert into users (directory, directory_id, username, username_key, dn, dn_key, entry_hash, required_new_user, state, removed_at)
     select 'many', n::text, n::text, n::text, n::text, n::text, '', false, 'removed', now() - interval '1 year'
     from generate_series(1, 1200) as n`,
  );
  const rounds = await Promise.all([1, 2].map(() => purgeRemovedUsers({ db }, { retentionMs: day, actor })));
  expect((rounds[0] ?? 0) + (rounds[1] ?? 0)).toBe(1200);
  expect(await db("audit_events").where({ action: "user-purge", directory: "many" })).toHaveLength(1200);
});
