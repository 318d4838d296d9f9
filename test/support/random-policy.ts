// An organization, its directory as servers show it, and the MFA policy, all changing at random between runs; and what must hold
// after each step whatever it was: nobody gets in without what the policy asks, nobody who is in the directory loses
// anything, and every end of a requirement was decided by somebody, or was held, or is an audit event.

import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect } from "vitest";
import { pick, type Random, randomFrom } from "../../scripts/servers/seeded-random.ts";
import type { MfaConfig } from "../../src/config/config.ts";
import { createKeyFile } from "../../src/sealing/key-folder.ts";
import { openSealingKeys } from "../../src/sealing/sealing-keys.ts";
import { getDirectoryMemory } from "../../src/sync/directories-table.ts";
import { startSync } from "../../src/sync/start-sync.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { applyPolicy } from "../../src/users/apply-policy.ts";
import { type MfaPolicy, mfaPolicyOf } from "../../src/users/policy.ts";
import { purgeRemovedUsers } from "../../src/users/purge-removed.ts";
import { setRequiredByAdmin } from "../../src/users/require-mfa.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import { decideSignIn } from "../../src/verification/decide-sign-in.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { createTogether } from "../../src/verification/together.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import { caller, cheapHasher, secretOf, TestClock, totpOf } from "../verification/verification-world.ts";
import { directoryConfigForFake, startFakeLdapServer } from "./fake-ldap-server.ts";
import {
  type Facts,
  RequiredGroups,
  readFacts,
  reasonsFor,
  requireNothingLost,
  requireOldGraces,
  requirePolicy,
  type UserFacts,
} from "./policy-facts.ts";
import {
  bases,
  changes,
  clearPeople,
  groupDnOf,
  groupNames,
  groupsBase,
  membersOf,
  newOrganization,
  type Organization,
  type Person,
} from "./random-organization.ts";
import { patientTimeouts, type Rounds, type RoundsSeen } from "./random-rounds.ts";
import {
  type FalsehoodName,
  falsehoods,
  honestView,
  scriptOfView,
  suffixIds,
  type View,
} from "./random-views.ts";
import { openSyncedStore, optionalMfa, type SyncedStore, setLimits } from "./sync-world.ts";

const actor = { name: "test", via: "sync" } as const;
// What a run may do without approval: low enough to be met, and more than 5 % of any organization here.
const most = 2;

/** Throws with the seed, the round and what was done where something does not hold. `seen` counts what came up. */
export async function runPolicyRounds({ seed, rounds, endsAt }: Rounds): Promise<RoundsSeen> {
  const world = await openPolicyWorld(seed);
  try {
    let round = 0;
    for (; round < rounds && Date.now() < endsAt; round += 1) await world.round(round);
    return { rounds: round, seen: world.seen };
  } finally {
    await world.stop();
  }
}

/** What has to come up in many rounds: what was not tried was not shown. */
export const policyMatters = [
  ...Object.keys(changes),
  ...Object.keys(falsehoods),
  ...["restart", "groupsMisspelt", "replicaWithAnother", "nested", "require", "unrequire", "dayPasses"],
  ...["succeeded", "held", "failed", "stale", "approved", "otherServers", "olderCopies", "truths"],
  ...["endsByRun", "endsByPolicy", "removed", "restored", "enabled", "enrolled", "purged", "verified"],
  ...["allow", "enroll", "challenge", "deny", "base-empty", "listing-empty", "listing-unusable"],
  ...[
    "group-listing-empty",
    "too-many-removals",
    "too-many-disables",
    "too-many-enables",
    "too-many-renames",
  ],
  ...["too-many-requirement-ends", "required-group-lost", "names-under-new-ids"],
];

/** Cards in a random order, shuffled anew when all were drawn: each comes up as often as every other. */
function deckOf<Card>(random: Random, cards: readonly Card[]): () => Card {
  let left: Card[] = [];
  return () => {
    if (left.length === 0) left = [...cards];
    const card = pick(random, left);
    left.splice(left.indexOf(card), 1);
    return card;
  };
}

async function openPolicyWorld(seed: number): Promise<PolicyWorld> {
  const random = randomFrom(seed);
  const truth = newOrganization(random);
  let world: PolicyWorld | undefined;
  const script = scriptOfView(() => world?.view ?? honestView(truth));
  const servers = await Promise.all([startFakeLdapServer(script), startFakeLdapServer(script)]);
  const directory = directoryConfigForFake(servers[0], { timeouts: patientTimeouts });
  directory.users.bases = [...bases];
  const attributes = { id: undefined, name: undefined };
  directory.groups = { bases: [groupsBase], filter: undefined, attributes, members: undefined, nested: true };
  setLimits(directory, { count: most, percent: 5 });
  const store = await openSyncedStore(directory);
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-keys-"));
  await createKeyFile(folder, "first", randomBytes(32));
  const { db } = store.database;
  const log = pino({ level: "silent" });
  const deps: VerificationDeps = {
    ...{
      db,
      log,
      folder,
      randomBytes,
      clock: new TestClock(),
      hasher: cheapHasher(),
      together: createTogether(db),
    },
    keys: await openSealingKeys({ db, folder, log }),
    mfa: { ...optionalMfa, backupCodes: { count: 2 } },
    directories: store.directories,
  };
  world = new PolicyWorld({ seed, random, truth, store, deps, urls: servers.map(({ url }) => url) });
  world.onStop.push(
    () => store.stop(),
    ...servers.map((server) => () => server.stop()),
    () => rm(folder, { recursive: true }),
  );
  await world.begin();
  return world;
}

interface PolicyWorldInput {
  seed: number;
  random: Random;
  truth: Organization;
  store: SyncedStore;
  deps: VerificationDeps;
  urls: string[];
}

class PolicyWorld {
  view: View;
  readonly seen: Record<string, number> = {};
  readonly onStop: (() => Promise<unknown>)[] = [];
  readonly #random: Random;
  readonly #truth: Organization;
  readonly #store: SyncedStore;
  readonly #deps: VerificationDeps;
  readonly #urls: string[];
  readonly #seed: number;
  readonly #required = new RequiredGroups();
  readonly #secrets = new Map<string, Buffer>();
  readonly #nextChange: () => keyof typeof changes;
  readonly #nextAct: () => ActName;
  readonly #nextFalsehood: () => FalsehoodName;
  #policy: MfaPolicy = mfaPolicyOf(optionalMfa);
  #facts: Facts = { users: new Map(), groups: [], lastEvent: "0" };
  #earlier: Organization[] = [];
  #told = "";
  // What runs did to how many users since a day passed, or somebody approved something.
  #sums = noSums();

  constructor({ seed, random, truth, store, deps, urls }: PolicyWorldInput) {
    this.#seed = seed;
    this.#random = random;
    this.#truth = truth;
    this.#store = store;
    this.#deps = deps;
    this.#urls = urls;
    this.view = honestView(truth);
    // Object.keys does not know that a table has no other keys.
    this.#nextChange = deckOf(random, Object.keys(changes) as (keyof typeof changes)[]);
    this.#nextFalsehood = deckOf(random, Object.keys(falsehoods) as FalsehoodName[]);
    this.#nextAct = deckOf(random, acts);
  }

  async begin(): Promise<void> {
    // Whom the new-user flag concerns loses no requirement with a group.
    await this.#restart({ requireForGroups: ["vpn", "admins"], enrollmentGraceMs: 3_600_000 });
    await this.#run({ isHonest: true });
  }

  async stop(): Promise<void> {
    for (const stop of this.onStop) await stop();
  }

  async round(round: number): Promise<void> {
    const random = this.#random;
    this.#told = `seed ${this.#seed}, round ${round}`;
    this.#earlier = [...this.#earlier, structuredClone(this.#truth)].slice(-4);
    for (let left = 1 + Math.floor(random() * 3); left > 0; left -= 1) {
      const name = this.#nextChange();
      this.#told += `, ${name}`;
      if (changes[name](random, this.#truth)) this.#count(name);
    }
    this.#truth.changes += 1;
    await this.#act(this.#nextAct());
    const isHonest = await this.#look();
    const run = await this.#run({ isHonest, stale: random() < 0.25 });
    if (run.status === "held" && random() < 0.7) {
      // With both of them false, an admin would have agreed to what is not so.
      const isStillHonest = isHonest && random() < 0.3 ? await this.#look() : this.#lookHonestly();
      await this.#run({ isHonest: isStillHonest, approves: run, wasHonest: isHonest });
    }
    await this.#signIn();
  }

  #count(name: string): void {
    this.seen[name] = (this.seen[name] ?? 0) + 1;
  }

  #lookHonestly(): true {
    this.view = honestView(this.#truth);
    this.#told += ", all shown";
    return true;
  }

  /** Chooses what the next run is shown; true when that is all of it. */
  async #look(): Promise<boolean> {
    this.#lookHonestly();
    if (this.#random() < 0.5) return true;
    const name = this.#nextFalsehood();
    if (!this.#mayBeTold(name)) return true;
    const known = await this.#changesKnown();
    const older = this.#earlier.filter(({ changes: at }) => at < known);
    if (name === "olderCopy" && older.length === 0) return true;
    const earlier = older.length > 0 ? pick(this.#random, older) : this.#truth;
    const users = [...this.#facts.users.values()];
    const isStored = ({ id, uid }: Person) =>
      users.some((user) => user.directory_id === id && user.username_key === uid && user.state !== "removed");
    const shown = { truth: this.#truth, earlier, requiredGroups: this.#required.ids(), isStored };
    if (!falsehoods[name](this.#random, this.view, shown)) return this.#lookHonestly();
    this.#told += ` but ${name}`;
    this.#count(name);
    return false;
  }

  /** Whether what hides some locks can be told from what people do. */
  #mayBeTold(name: FalsehoodName): boolean {
    const stateOf = (id: string) => this.#facts.users.get(id)?.state;
    const clear = this.#peopleToBe(this.#facts);
    if (name === "locksHidden")
      return clear.filter(({ id, isLocked }) => isLocked && stateOf(id) === "disabled").length > most;
    if (name === "everybodyLocked") return clear.filter(({ id }) => stateOf(id) === "active").length > most;
    return true;
  }

  /** The change number by which an older copy is known as one; 0 when the last listing told none. */
  async #changesKnown(): Promise<number> {
    const { serverIdentity, serverState } = await this.#memory();
    if (!serverIdentity?.endsWith(suffixIds.usual)) return 0;
    return Number(/^20260131120000\.(\d{6})Z/.exec(serverState ?? "")?.[1] ?? 0);
  }

  #memory() {
    return getDirectoryMemory(this.#deps.db, this.#store.directory.name);
  }

  /** Does something to the store, and looks at what came of it. */
  async #step(
    act: () => Promise<unknown>,
    allowed: { purged?: string[]; decided?: string[]; by?: "policy-change" | "sync-run" } = {},
  ) {
    const before = this.#facts;
    await act();
    const after = await readFacts(this.#deps.db);
    this.#facts = after;
    this.#required.follow(this.#policy, after.groups);
    const ends = await this.#deps
      .db("audit_events")
      .select({ action: "action", userId: "user_id", details: "details" })
      .where("id", ">", before.lastEvent)
      .whereIn("action", ["requirement-end", "mfa-unrequire"]);
    const told = this.#told;
    for (const { action, details } of ends)
      if (action === "requirement-end") expect(details.by, told).toBe(allowed.by);
    const ended = new Set<string>(ends.map(({ userId }) => userId));
    requirePolicy(after, this.#policy, this.#required.ids(), told);
    const [purged, decided] = [new Set(allowed.purged), new Set(allowed.decided)];
    requireNothingLost(before, after, { ended, purged, decided, told });
    requireOldGraces(before, after, (user) => this.#reasonsFor(user), told);
    return { before, after, ended };
  }

  #reasonsFor(user: UserFacts): string[] {
    return reasonsFor(user, this.#policy, this.#required.ids());
  }

  async #act(name: ActName): Promise<void> {
    const random = this.#random;
    this.#told += `, ${name}`;
    const live = [...this.#facts.users.values()].filter(({ state }) => state !== "removed");
    const user = pick(random, live);
    if (name === "restart" || name === "groupsMisspelt" || name === "replicaWithAnother") {
      const isMisspelt = name === "groupsMisspelt";
      await this.#restart(randomMfa(random, isMisspelt ? ["vnp", "cn=admin,dc=fake"] : groupNames));
    } else if (name === "nested") {
      const { groups } = this.#store.directory;
      if (groups) groups.nested = !groups.nested;
    } else if (name === "require" || name === "unrequire") {
      const required = name === "require";
      const input = { userId: user.id, required, actor };
      await this.#step(() => setRequiredByAdmin(this.#deps, input), { decided: [user.id] });
    } else if (name === "enroll") await this.#enroll(user);
    else if (name === "dayPasses") {
      const { db } = this.#deps;
      const [started_at, finished_at] = ["started_at", "finished_at"].map((column) =>
        db.raw(`${column} - interval '3 days'`),
      );
      await db("sync_runs").update({ started_at, finished_at });
      this.#sums = noSums();
    } else if (name === "purge") await this.#purge();
    this.#count(name);
  }

  async #restart(mfa: Partial<MfaConfig>): Promise<void> {
    const policy = mfaPolicyOf({ ...optionalMfa, ...mfa });
    const deps = { db: this.#deps.db, policy, directories: this.#store.directories };
    this.#policy = policy;
    let told = { began: 0, ended: 0 };
    const { ended } = await this.#step(
      async () => {
        told = await applyPolicy(deps, { name: "test", via: "daemon" });
      },
      { by: "policy-change" },
    );
    expect(told.ended, this.#told).toBe(ended.size);
    if (ended.size > 0) this.#count("endsByPolicy");
  }

  async #enroll({ id, username_key, state, authenticator }: UserFacts): Promise<void> {
    if (state !== "active" || authenticator !== null) return;
    const name = { username: username_key };
    await this.#step(async () => {
      const begun = await beginEnrollment(this.#deps, { name, actor: caller });
      if (begun.outcome !== "begun") throw new Error(`${this.#told}: ${begun.outcome}`);
      const secret = secretOf(begun.secretPlain);
      const totpAsTyped = totpOf(secret, this.#deps.clock.now());
      const confirmed = await confirmEnrollment(this.#deps, { name, totpAsTyped, actor: caller });
      expect(confirmed.outcome, this.#told).toBe("confirmed");
      this.#secrets.set(id, secret);
    });
    this.#count("enrolled");
  }

  /** The retention time of one removed user is over. */
  async #purge(): Promise<void> {
    const removed = [...this.#facts.users.values()].filter(({ state }) => state === "removed");
    if (removed.length === 0) return;
    const { id } = pick(this.#random, removed);
    const { db } = this.#deps;
    await db("users")
      .where({ id })
      .update({ removed_at: new Date("2020-01-01") });
    const input = { retentionMs: 86_400_000, actor };
    await this.#step(() => purgeRemovedUsers({ db }, input), { purged: [id] });
    this.#count("purged");
  }

  async #run(how: {
    isHonest: boolean;
    stale?: boolean;
    approves?: SyncRun;
    wasHonest?: boolean;
  }): Promise<SyncRun> {
    const { directory } = this.#store;
    directory.urls = [this.#urls[this.view.server] ?? ""];
    const identity = (await this.#memory()).serverIdentity;
    const random = this.#random;
    // A replica that was not started again, or a command with another file: its policy is not the one in force.
    const other = {
      policy: mfaPolicyOf({ ...optionalMfa, ...randomMfa(random, ["no such group"]) }),
      directories: random() < 0.5 ? ["elsewhere"] : this.#store.directories,
    };
    const own = { policy: this.#policy, directories: this.#store.directories };
    const { db, log } = this.#deps;
    const holder = how.stale ? "stale" : "own";
    const signal = new AbortController().signal;
    const trigger = how.approves ? ("approval" as const) : ("request" as const);
    const approves = how.approves ? { approves: how.approves } : {};
    const wereRequired = this.#required.ids();
    let run: SyncRun | undefined;
    const { before, after, ended } = await this.#step(
      async () => {
        const started = await startSync(
          { db, log, holder, ...(how.stale ? other : own) },
          { directory, trigger, actor, dryRun: false, signal, ...approves },
        );
        if (started.kind !== "started") throw new Error(started.kind);
        const finished = await started.finished;
        run = finished;
        const { mover } = this.view;
        if (mover) mover.base = 0;
        this.#told += `, ${how.stale ? "another replica" : ""} ${trigger} ${finished.status} ${finished.holdReasons.map(({ code }) => code).join()}${finished.error?.code ?? ""}`;
      },
      { by: "sync-run" },
    );
    if (!run) throw new Error("no run");
    if (how.stale) this.#count("stale");
    this.#count(run.status);
    for (const { code } of run.holdReasons) this.#count(code);
    expect(run.error?.code, this.#told).not.toBe("internal");
    if (run.status !== "succeeded") {
      expect({ ...after, lastEvent: "" }, this.#told).toEqual({ ...before, lastEvent: "" });
      expect(run.status, this.#told).toBe(this.view.breaksAfter === undefined ? "held" : "failed");
      return run;
    }
    expect(this.view.breaksAfter, this.#told).toBeUndefined();
    const isOlder = run.notes.some(({ code }) => code === "older-copy");
    const isSame = identity === null || (await this.#memory()).serverIdentity === identity;
    await this.#requireTold(run, ended);
    // Who comes back does so with the groups of now, whichever server it is that shows them.
    const had = [...before.users.values()];
    const cameBack = new Set(had.filter(({ state }) => state === "removed").map(({ id }) => id));
    const judged = isSame ? ended : new Set([...ended].filter((id) => !cameBack.has(id)));
    if (this.view.suffix === "usual") this.#requireReasonGone(after, judged, wereRequired);
    this.#requireNoHarm(before, after, isOlder);
    this.#requireLimits({ before, after, ended, isApproved: how.approves !== undefined });
    if (isOlder) this.#requireOnlyNew(before, after);
    else if (!isSame) this.#requireNothingTaken(before, after, ended);
    else if (how.isHonest && !run.notes.some(({ code }) => code === "removals-beyond-approval"))
      this.#requireTruth(after);
    if (how.approves) this.#count("approved");
    if (ended.size > 0) this.#count("endsByRun");
    return run;
  }

  /** Each end is in the plan that people read. */
  async #requireTold(run: SyncRun, ended: ReadonlySet<string>): Promise<void> {
    const planned = (await this.#store.changes(run)).filter(({ reasons }) =>
      reasons.includes("requirement-ended"),
    );
    expect(planned.map(({ userId }) => userId).sort(), this.#told).toEqual([...ended].sort());
  }

  /** Nobody whose requirement a run ended is, in the directory as it is, in a group for which MFA was required. */
  #requireReasonGone(after: Facts, ended: ReadonlySet<string>, wereRequired: string[]): void {
    const members = membersOf(this.#truth, this.#store.directory.groups?.nested ?? false);
    for (const { id, rdn, uid } of this.#peopleToBe(after)) {
      const user = after.users.get(id);
      if (user === undefined || !ended.has(user.id)) continue;
      const groups = wereRequired.filter((group) => members.get(group)?.has(rdn));
      expect(groups, `${this.#told}: ${uid}`).toEqual([]);
    }
  }

  #shownId({ id, flaw }: Organization["people"][number]): string {
    return flaw === "shared-id" ? (this.#truth.people[0]?.id ?? id) : id;
  }

  /** Whoever is in the directory is not removed, and nobody becomes active whom the directory does not say to be. */
  #requireNoHarm(before: Facts, after: Facts, isOlder: boolean): void {
    const present = Map.groupBy(this.#truth.people, (person) => this.#shownId(person));
    // Of two entries with one id, a server that holds a part of the directory may show one.
    const { suffix, of } = this.view;
    const shown = Map.groupBy(suffix === "other" ? of.people : this.#truth.people, (person) =>
      this.#shownId(person),
    );
    for (const [id, is] of after.users) {
      const was = before.users.get(id);
      const about = `${this.#told}: ${is.username_key} (${id}) was ${was?.state} and is ${is.state}`;
      if (was && was.state !== "removed" && is.state === "removed") {
        expect(present.has(id), about).toBe(false);
        this.#count("removed");
      }
      if (is.state === "active" && was?.state !== "active" && !(isOlder && was === undefined)) {
        expect(
          shown.get(id)?.map(({ isLocked }) => isLocked),
          about,
        ).toEqual([false]);
        if (was) this.#count(was.state === "removed" ? "restored" : "enabled");
      }
    }
  }

  /** What nobody has approved stays below the limits, over all runs of a day. */
  #requireLimits(of: { before: Facts; after: Facts; ended: ReadonlySet<string>; isApproved: boolean }): void {
    if (of.isApproved) {
      this.#sums = noSums();
      return;
    }
    const sums = this.#sums;
    sums.ends += of.ended.size;
    for (const [id, was] of of.before.users) {
      const is = of.after.users.get(id);
      if (!is || was.state === "removed") continue;
      if (is.state === "removed") sums.removals += 1;
      if (was.state === "active" && is.state === "disabled") sums.disables += 1;
      if (was.state === "disabled" && is.state === "active") sums.enables += 1;
      if (was.username_key !== is.username_key) sums.renames += 1;
    }
    expect(Math.max(...Object.values(sums)), `${this.#told}: ${JSON.stringify(sums)}`).toBeLessThanOrEqual(
      most,
    );
  }

  #requireOnlyNew(before: Facts, after: Facts): void {
    for (const [id, was] of before.users) expect(after.users.get(id), this.#told).toEqual(was);
    this.#count("olderCopies");
  }

  #requireNothingTaken(before: Facts, after: Facts, ended: ReadonlySet<string>): void {
    const stayed = [...before.users.values()].filter(({ state }) => state !== "removed");
    expect(
      stayed.filter(({ id }) => ended.has(id)),
      this.#told,
    ).toEqual([]);
    for (const [id, was] of before.users) {
      const is = after.users.get(id);
      if (was.state === "removed") continue;
      expect(is?.state, this.#told).not.toBe("removed");
      expect(is?.groups, this.#told).toEqual(expect.arrayContaining(was.groups));
    }
    this.#count("otherServers");
  }

  /** After a run that has seen all of it, the store is what the directory is, except for entries that cannot be used. */
  #requireTruth(after: Facts): void {
    const { nested } = this.#store.directory.groups ?? { nested: false };
    const members = membersOf(this.#truth, nested);
    const present = new Set(this.#truth.people.map((person) => this.#shownId(person)));
    for (const [id, user] of after.users)
      if (!present.has(id)) expect(user.state, `${this.#told}: ${user.username_key}`).toBe("removed");
    for (const person of this.#peopleToBe(after)) {
      const groups = [...members].filter(([, names]) => names.has(person.rdn)).map(([id]) => id);
      const user = after.users.get(person.id);
      expect(
        user && { name: user.username_key, state: user.state, groups: user.groups },
        `${this.#told}: ${person.uid} (${person.id})`,
      ).toEqual({
        name: person.uid,
        state: person.isLocked ? "disabled" : "active",
        groups: groups.sort(),
      });
    }
    expect(after.groups.map(({ dn_key }) => dn_key).sort(), this.#told).toEqual(
      this.#truth.groups.map((group) => groupDnOf(group).toLowerCase()).sort(),
    );
    this.#count("truths");
  }

  /** Those who have nobody in their way: neither by a clash in the directory, nor by a user who keeps a name for want of a usable entry. */
  #peopleToBe(after: Facts) {
    let clear = clearPeople(this.#truth);
    for (;;) {
      const ids = new Set(clear.map(({ id }) => id));
      const kept = new Set(
        [...after.users.values()]
          .filter(({ directory_id, state }) => state !== "removed" && !ids.has(directory_id))
          .map(({ username_key }) => username_key),
      );
      const left = clear.filter(({ uid }) => !kept.has(uid));
      if (left.length === clear.length) return clear;
      clear = left;
    }
  }

  /** Asks as a login service does, for some users by their names. */
  async #signIn(): Promise<void> {
    const users = [...this.#facts.users.values()];
    for (let left = 3; left > 0; left -= 1) {
      const { username_key } = pick(this.#random, users);
      const named = users.filter((user) => user.username_key === username_key && user.state !== "removed");
      const answer = await decideSignIn(this.#deps, { name: { username: username_key } });
      if (answer.outcome !== "decided") throw new Error(`${this.#told}: ${answer.outcome}`);
      const about = `${this.#told}: ${username_key} is told ${answer.decision}`;
      const [user] = named;
      if (user?.state !== "active") expect(answer.decision, about).toBe("deny");
      else if (user.authenticator !== null) expect(answer.decision, about).toBe("challenge");
      else {
        const reasons = this.#reasonsFor(user);
        expect(answer.decision, about).toBe(reasons.length > 0 ? "enroll" : "allow");
        const deadline = user.enrollment_deadline?.getTime() ?? 0;
        if (Math.abs(deadline - Date.now()) > 60_000)
          expect(answer.enrollment?.mayDefer ?? false, about).toBe(deadline > Date.now());
      }
      this.#count(answer.decision);
    }
    const enrolled = users.filter(({ id, state }) => state === "active" && this.#secrets.has(id));
    if (enrolled.length > 0) await this.#verify(pick(this.#random, enrolled));
  }

  /** The phone still works. */
  async #verify({ id, username_key }: UserFacts): Promise<void> {
    const { clock } = this.#deps;
    if (clock instanceof TestClock) clock.step();
    const codeAsTyped = totpOf(this.#secrets.get(id) ?? Buffer.alloc(0), clock.now());
    const code = { method: "totp", codeAsTyped } as const;
    const answer = await verifyCode(this.#deps, { name: { username: username_key }, code, actor: caller });
    expect(answer.outcome, `${this.#told}: ${username_key}`).toBe("accepted");
    this.#count("verified");
  }
}

const noSums = () => ({ removals: 0, disables: 0, enables: 0, renames: 0, ends: 0 });

const acts = [
  ...([
    "restart",
    "restart",
    "groupsMisspelt",
    "replicaWithAnother",
    "nested",
    "require",
    "unrequire",
  ] as const),
  ...(["enroll", "enroll", "enroll", "dayPasses", "dayPasses", "dayPasses", "purge", "nothing"] as const),
];
type ActName = (typeof acts)[number];

function randomMfa(random: Random, groups: string[]): Partial<MfaConfig> {
  return {
    mode: random() < 0.15 ? "required" : "optional",
    requireForDirectories: random() < 0.1 ? ["fake"] : [],
    requireForNewUsers: random() < 0.2,
    requireForGroups: groups
      .filter(() => random() < 0.7)
      .map((cn) => (random() < 0.5 || cn.includes("=") ? cn : groupDnOf({ cn }))),
    enrollmentGraceMs: pick(random, [0, 3_600_000, 7_200_000]),
  };
}
