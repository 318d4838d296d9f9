// A rotation beside two replicas that verify all the time, and one that is killed. Only PostgreSQL: several processes.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { keyStatus } from "../../src/sealing/key-status.ts";
import { generateKey, rotateKeys } from "../../src/sealing/rotate-keys.ts";
import { nonceBytes, seal } from "../../src/sealing/sealing.ts";
import { withActiveKey } from "../../src/sealing/sealing-keys.ts";
import { type OpenDatabase, openDatabase } from "../../src/store/database.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import {
  admin,
  caller,
  type EnrolledUser,
  openVerificationWorld,
  totpOf,
  type VerificationWorld,
} from "../verification/verification-world.ts";

let world: VerificationWorld;
let second: OpenDatabase;
beforeAll(async () => {
  world = await openVerificationWorld();
  second = await openDatabase(world.database.config, { log: pino({ level: "silent" }), owner: false });
});
afterAll(async () => {
  await second.close();
  await world.close();
});

const keyDeps = () => ({ ...world.deps, folder: world.folder });

/** Pending enrollments, sealed with the active key: made without the flows, since there are many. */
async function addSealedRows(count: number): Promise<void> {
  const key = world.deps.keys.active();
  for (let row = 0; row < count; row++) {
    const { id: owner } = await world.addUser();
    const sealed = seal(key, { purpose: "totp-secret", owner }, randomBytes(20), randomBytes(nonceBytes));
    await world.database.db("authenticators").insert({
      user_id: owner,
      state: "pending",
      key_id: key.id,
      sealed,
      expires_at: new Date(Date.now() + 600_000),
    });
  }
}

test("verifications go on without one failure while every secret is resealed, killed half-way and resumed", async () => {
  await world.deps.keys.refresh();
  const { id: oldId } = world.deps.keys.active();
  await addSealedRows(700);
  // One after another: each enrollment moves the clock that all share.
  const users: EnrolledUser[] = [];
  while (users.length < 4) users.push(await world.addEnrolledUser());
  world.clock.step(2);
  const { id } = await generateKey(keyDeps());
  const replicas = [world.deps, await world.replica({}, second.db)];

  let rotating = true;
  const outcomes = new Set<string>();
  const signInOften = async (user: EnrolledUser, which: number) => {
    // Each user has a time of their own, so that every code is new.
    let at = world.clock.now().getTime();
    while (rotating) {
      at += 30_000;
      const deps = { ...(replicas[which % 2] ?? world.deps), clock: { now: () => new Date(at) } };
      const codeAsTyped = totpOf(user.secret, new Date(at));
      const answer = await verifyCode(deps, {
        name: user,
        code: { method: "totp", codeAsTyped },
        actor: caller,
      });
      outcomes.add(answer.outcome);
    }
  };
  const signIns = users.map(signInOften);

  await killAfterFirstBatch(id);
  const status = await keyStatus(keyDeps());
  const [old, fresh] = [oldId, id].map((one) => status.find((key) => key.id === one));
  expect(old).toMatchObject({ state: "retiring" });
  expect(old?.sealed).toBeGreaterThan(0);
  expect(fresh?.sealed).toBeGreaterThan(0);

  const answer = await rotateKeys(keyDeps(), { to: undefined, actor: admin });
  expect(answer).toMatchObject({ activeKey: id, retired: [oldId], unreadable: [] });
  rotating = false;
  await Promise.all(signIns);
  expect([...outcomes]).toEqual(["accepted"]);
});

async function killAfterFirstBatch(to: string): Promise<void> {
  const { config } = world.database;
  if (config.kind !== "postgres") throw new Error("needs a server");
  const script = join(import.meta.dirname, "rotate-in-child.ts");
  const child = spawn(process.execPath, [script, config.url, world.folder, to], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await ended;
}

test("a secret that is being stored with the old key while a rotation begins is resealed by it", async () => {
  const { id: owner } = await world.addUser();
  await generateKey(keyDeps());
  const held = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const storing = withActiveKey(world.deps, async (trx, key) => {
    held.resolve();
    await goOn.promise;
    const sealed = seal(key, { purpose: "totp-secret", owner }, randomBytes(20), randomBytes(nonceBytes));
    await trx("authenticators").insert({
      user_id: owner,
      state: "pending",
      key_id: key.id,
      sealed,
      expires_at: new Date(Date.now() + 600_000),
    });
    return key.id;
  });
  await held.promise;
  const rotating = rotateKeys(keyDeps(), { to: undefined, actor: admin });
  // Time for a rotation that does not wait to be over.
  await Promise.race([rotating, new Promise((resolve) => setTimeout(resolve, 500))]);
  goOn.resolve();
  const oldKey = await storing;
  const { activeKey, retired } = await rotating;
  expect(retired).toContain(oldKey);
  expect(await world.database.db("authenticators").where({ user_id: owner }).first("key_id")).toEqual({
    key_id: activeKey,
  });
});
