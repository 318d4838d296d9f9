// Known users whose entries came back under other ids: they get those by a rule, and keep all they have (rule 1).

import { pino } from "pino";
import { expect, test } from "vitest";
import { rekeyDirectory } from "../../src/sync/rekey-directory.ts";
import { deletions, eachTestInSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

let world: SyncWorld;
eachTestInSyncWorld({ ldif: people(20) }, async (fresh) => {
  world = fresh;
  await world.sync();
});

const rekey = (approve?: string) =>
  rekeyDirectory(
    { db: world.database.db, log: pino({ level: "silent" }), holder: "test" },
    {
      directory: world.directory,
      rule: { by: "username" },
      approve,
      actor: { name: "admin", via: "cli" },
      signal: new AbortController().signal,
    },
  );
const names = Array.from({ length: 18 }, (_, n) => `user${String(n).padStart(4, "0")}`);

test("a restored directory's held run is resolved without anyone losing anything", async () => {
  const before = await world.users();
  await world.database.db("users").where({ username: "user0001" }).update({ required_by_admin: true });
  await world.slapd.modify(deletions(names));
  await world.slapd.add(names.map((uid) => person(uid)).join(""));
  expect(await world.sync()).toMatchObject({ status: "held" });

  const planned = await rekey();
  expect(planned).toMatchObject({ outcome: "planned", plan: { ambiguous: [], unmatched: 0 } });
  expect(planned.plan.rekeyed).toHaveLength(18);
  expect((await world.users()).map((one) => one.directoryId)).toEqual(before.map((one) => one.directoryId));

  // Since then the directory has changed: what is approved is not what would be done.
  await world.slapd.modify(deletions(["user0000"]));
  const differs = await rekey(planned.plan.digest);
  expect(differs).toMatchObject({ outcome: "plan-differs", plan: { unmatched: 1 } });
  expect(await rekey(differs.plan.digest)).toMatchObject({ outcome: "applied" });

  const run = await world.sync();
  expect(run).toMatchObject({ status: "succeeded", counts: { added: 0, removed: 1 } });
  const after = await world.users();
  expect(after.map((one) => one.id)).toEqual(before.map((one) => one.id));
  expect(after.find((one) => one.username === "user0001")).toMatchObject({ requiredByAdmin: true });
  const events = await world.database.db("audit_events").whereIn("action", ["user-rekey", "directory-rekey"]);
  expect(events.filter(({ action }) => action === "user-rekey")).toHaveLength(17);
  expect(events.find(({ action }) => action === "directory-rekey")).toMatchObject({
    details: { users: 17, planDigest: differs.plan.digest },
  });
});
