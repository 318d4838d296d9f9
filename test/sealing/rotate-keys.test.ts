// Sealing keys from making one to retiring it (rule 20).

import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sealAuditEvents } from "../../src/audit/seal-audit-events.ts";
import { verifyAuditChain } from "../../src/audit/verify-audit-chain.ts";
import { systemClock } from "../../src/clock.ts";
import { openChainKey } from "../../src/sealing/chain-key.ts";
import { createKeyFile } from "../../src/sealing/key-folder.ts";
import { keyStatus } from "../../src/sealing/key-status.ts";
import { generateKey, type RotateKeysInput, rotateKeys } from "../../src/sealing/rotate-keys.ts";
import { resealRows, sealedTables } from "../../src/sealing/sealed-rows-table.ts";
import { openSealingKeys } from "../../src/sealing/sealing-keys.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import {
  admin,
  eachTestInVerificationWorld,
  type VerificationWorld,
} from "../verification/verification-world.ts";

let world: VerificationWorld;
eachTestInVerificationWorld((fresh) => {
  world = fresh;
});

const keyDeps = () => ({ ...world.deps, folder: world.folder });
const rotate = (input: Partial<RotateKeysInput> = {}) =>
  rotateKeys(keyDeps(), { to: undefined, actor: admin, ...input });

describe("a start", () => {
  test("in a new database takes the one key of the folder, and audits it", async () => {
    expect(await keyStatus(keyDeps())).toMatchObject([{ id: "first", state: "active", file: "present" }]);
    const events = await world.database.db("audit_events").select("action", "details");
    expect(events).toEqual([{ action: "key-rotate", details: { activeKey: "first", firstKey: true } }]);
  });

  test("without any key says which command makes one", async () => {
    await world.database.db("sealing_keys").delete();
    await rm(join(world.folder, "first.key"));
    await expect(openSealingKeys(keyDeps())).rejects.toMatchObject({
      code: "key-missing",
      remedy: expect.stringContaining("dirmfa key generate"),
    });
  });

  test("in a new database with several keys asks which", async () => {
    await world.database.db("sealing_keys").delete();
    await createKeyFile(world.folder, "second", randomBytes(32));
    await expect(openSealingKeys(keyDeps())).rejects.toMatchObject({
      code: "key-missing",
      remedy: expect.stringContaining("dirmfa key rotate --to"),
    });
    await rotate({ to: "second" });
    expect((await openSealingKeys(keyDeps())).active().id).toBe("second");
  });

  test("without the key in use is refused, naming key and folder", async () => {
    await rm(join(world.folder, "first.key"));
    await expect(openSealingKeys(keyDeps())).rejects.toMatchObject({
      code: "key-missing",
      fields: { keyId: "first", folder: world.folder },
    });
  });

  test("with another key under the name in use is refused", async () => {
    await rm(join(world.folder, "first.key"));
    await createKeyFile(world.folder, "first", randomBytes(32));
    await expect(openSealingKeys(keyDeps())).rejects.toMatchObject({
      code: "key-wrong",
      fields: { keyId: "first" },
    });
  });

  test.each([
    ["empty", ""],
    ["of 31 bytes", Buffer.alloc(31).toString("base64")],
    ["of 33 bytes", Buffer.alloc(33).toString("base64")],
    ["no base64", "not a key at all, is it, no it is not at all"],
    ["hex", randomBytes(32).toString("hex")],
    ["two lines", `${randomBytes(16).toString("base64")}\n${randomBytes(16).toString("base64")}`],
  ])("with a key file that is %s is refused, without showing what is in it", async (_, content) => {
    await writeFile(join(world.folder, "first.key"), content);
    const error = await openSealingKeys(keyDeps()).catch((caught) => caught);
    expect(error).toMatchObject({ code: "key-wrong" });
    if (content) expect(JSON.stringify([error.message, error.remedy, error.fields])).not.toContain(content);
  });

  test("with a key file that others can read warns", async () => {
    await chmod(join(world.folder, "first.key"), 0o644);
    await openSealingKeys(keyDeps());
    expect(world.logged.at(-1)).toContain("key file is open to other users");
  });
});

describe("a generated key", () => {
  test("is a new file that only its owner can read, and is used by nothing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "dirmfa-keys-"));
    const { id, path } = await generateKey({ folder, clock: world.clock, randomBytes });
    expect(path).toBe(join(folder, `${id}.key`));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(Buffer.from(await readFile(path, "utf8"), "base64")).toHaveLength(32);
    await rm(folder, { recursive: true });
  });

  test("never takes the place of another", async () => {
    const zeros = (size: number) => Buffer.alloc(size);
    const first = await generateKey({ ...keyDeps(), randomBytes: zeros });
    await expect(generateKey({ ...keyDeps(), randomBytes: zeros })).rejects.toThrow("EEXIST");
    await expect(createKeyFile(world.folder, first.id, randomBytes(32))).rejects.toThrow("EEXIST");
  });
});

describe("a rotation", () => {
  test("reseals everything under the new key, after which the old file is not needed", async () => {
    const user = await world.addEnrolledUser();
    const { id } = await generateKey(keyDeps());
    expect(await rotate()).toEqual({ activeKey: id, resealed: 2, retired: ["first"], unreadable: [] });
    await rm(join(world.folder, "first.key"));
    const replica = await world.replica();
    expect(await world.verify(user, world.codeOf(user), "totp", replica)).toMatchObject({
      outcome: "accepted",
    });
    expect(await world.verify(user, user.backupCodes[0] ?? "", "backup-code", replica)).toMatchObject({
      outcome: "accepted",
    });
    expect(await keyStatus(keyDeps())).toMatchObject([
      { id: "first", state: "retired", file: "missing", sealed: 0 },
      { id, state: "active", file: "present", sealed: 2 },
    ]);
  });

  test("keeps the audit's chain key, so that what was sealed before still verifies", async () => {
    const chainKeyOf = async (deps: VerificationDeps) => openChainKey({ ...deps, randomBytes });
    const before = await chainKeyOf(world.deps);
    await sealAuditEvents({ db: world.database.db, chainKey: before, holder: "test", clock: systemClock });
    await generateKey(keyDeps());
    expect(await rotate()).toMatchObject({ resealed: 1, retired: ["first"] });
    await rm(join(world.folder, "first.key"));
    const chainKey = await chainKeyOf(await world.replica());
    expect(chainKey).toEqual(before);
    await sealAuditEvents({ db: world.database.db, chainKey, holder: "test", clock: systemClock });
    expect(await verifyAuditChain({ db: world.database.db, chainKey, clock: systemClock })).toMatchObject({
      sealed: 3,
      problems: [],
    });
  });

  test("is noticed by a replica that was started before it, for reading and for new secrets", async () => {
    const user = await world.addEnrolledUser();
    await generateKey(keyDeps());
    const { activeKey } = await rotate();
    expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });
    const other = await world.addEnrolledUser();
    const row = await world.database.db("authenticators").where({ user_id: other.id }).first("key_id");
    expect(row.key_id).toBe(activeKey);
  });

  test("keeps spent backup codes spent and unspent ones unspent", async () => {
    const user = await world.addEnrolledUser();
    const [first = "", second = ""] = user.backupCodes;
    await world.verify(user, first, "backup-code");
    await generateKey(keyDeps());
    await rotate();
    expect(await world.verify(user, first, "backup-code")).toEqual({ outcome: "code-rejected" });
    expect(await world.verify(user, second, "backup-code")).toMatchObject({ outcome: "accepted" });
  });

  test("without a key to rotate to, or with two, says what to do", async () => {
    await expect(rotate()).rejects.toMatchObject({
      code: "invalid-usage",
      remedy: expect.stringContaining("dirmfa key generate"),
    });
    await generateKey(keyDeps());
    await createKeyFile(world.folder, "third", randomBytes(32));
    await expect(rotate()).rejects.toMatchObject({
      code: "invalid-usage",
      message: expect.stringContaining("third"),
    });
  });

  test.each(["nowhere", "../first", "", "A", "first.key"])("to %j is refused", async (to) => {
    await expect(rotate({ to })).rejects.toMatchObject({ code: "key-missing" });
  });

  test("back to a retired key is refused", async () => {
    await generateKey(keyDeps());
    await rotate();
    await expect(rotate({ to: "first" })).rejects.toMatchObject({ code: "invalid-usage" });
  });

  test("leaves a value that does not open as it is, names it, and does not retire its key", async () => {
    const [sound, broken] = [await world.addEnrolledUser(), await world.addEnrolledUser()];
    await world.database
      .db("authenticators")
      .where({ user_id: broken.id })
      .update({ sealed: Buffer.alloc(48, 1) });
    await generateKey(keyDeps());
    const answer = await rotate();
    expect(answer).toMatchObject({ resealed: 3, retired: [], unreadable: [{ table: "authenticators" }] });
    expect(await world.verify(sound, world.codeOf(sound))).toMatchObject({
      outcome: "accepted",
    });
    const events = await world.database.db("audit_events").where({ action: "key-rotate" }).orderBy("id");
    expect(events.map(({ outcome }) => outcome)).toEqual(["done", "begun", "incomplete"]);
  });

  test("does not put an old secret in the place of one that was stored meanwhile", async () => {
    const user = await world.addEnrolledUser();
    const [table] = sealedTables;
    if (!table) throw new Error("no tables");
    const { id, sealed } = await world.database.db("authenticators").where({ user_id: user.id }).first();
    const stale = { id, sealed: Buffer.alloc(48, 1), resealed: Buffer.alloc(48, 2) };
    expect(await resealRows(world.database.db, table, "first", [stale])).toBe(0);
    expect(await world.database.db("authenticators").where({ id }).first("sealed")).toEqual({ sealed });
  });

  test("that was stopped goes on where it stopped", async () => {
    for (let user = 0; user < 3; user++) await world.addEnrolledUser();
    const { id } = await generateKey(keyDeps());
    const stop = new AbortController();
    await expect(rotate({ signal: stop.signal, onProgress: () => stop.abort() })).rejects.toThrow("aborted");
    expect(await keyStatus(keyDeps())).toMatchObject([
      { id: "first", state: "retiring", sealed: 3 },
      { id, state: "active", sealed: 3 },
    ]);
    expect(await rotate()).toEqual({ activeKey: id, resealed: 3, retired: ["first"], unreadable: [] });
  });

  test("whose key file has not reached a replica is refused there until it has", async () => {
    const user = await world.addEnrolledUser();
    const { id, path } = await generateKey(keyDeps());
    await rotate();
    await rename(path, `${path}.away`);
    const elsewhere = { ...world.deps, keys: { ...world.deps.keys, find: async () => undefined } };
    const code = world.codeOf(user);
    expect(await world.verify(user, code, "totp", elsewhere)).toMatchObject({ outcome: "secret-unreadable" });
    await rename(`${path}.away`, path);
    expect(await world.verify(user, code)).toMatchObject({ outcome: "accepted" });
    expect((await keyStatus(keyDeps())).at(-1)).toMatchObject({ id, file: "present" });
  });
});

test("a log and the audit of a rotation hold no key", async () => {
  const { path } = await generateKey(keyDeps());
  await rotate();
  const key = (await readFile(path, "utf8")).trim();
  expect(world.logged.join("\n")).not.toContain(key);
  expect(JSON.stringify(await world.database.db("audit_events"))).not.toContain(key);
});
