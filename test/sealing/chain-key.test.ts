// The audit chain's key is made once, and its loss is never mended silently.

import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { sealAuditEvents } from "../../src/audit/seal-audit-events.ts";
import { systemClock } from "../../src/clock.ts";
import { openChainKey } from "../../src/sealing/chain-key.ts";
import { eachTestInVerificationWorld, type VerificationWorld } from "../verification/verification-world.ts";

let world: VerificationWorld;
eachTestInVerificationWorld((fresh) => {
  world = fresh;
});

const openKey = () => openChainKey({ ...world.deps, randomBytes });

test("replicas that start at once in a new database get one key", async () => {
  const keys = await Promise.all(Array.from({ length: 5 }, openKey));
  expect(new Set(keys.map((key) => key.toString("hex")))).toHaveProperty("size", 1);
  expect(keys[0]).toHaveLength(32);
});

test("a key that is gone after events were sealed is missed, and none is made in its place", async () => {
  // The start of the world is an event.
  await sealAuditEvents({
    db: world.database.db,
    chainKey: await openKey(),
    holder: "test",
    clock: systemClock,
  });
  await world.database.db("audit_chain_keys").delete();
  await expect(openKey()).rejects.toMatchObject({ code: "key-missing" });
  expect(await world.database.db("audit_chain_keys")).toEqual([]);
});

test("a key that was changed is refused", async () => {
  await openKey();
  await world.database.db("audit_chain_keys").update({ sealed: Buffer.alloc(60, 1) });
  await expect(openKey()).rejects.toMatchObject({ code: "key-wrong", fields: { keyId: "first" } });
});
