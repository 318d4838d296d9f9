// Random faults between dirmfa and a directory that keeps changing, and what must be true of the store after each: it is as
// before, or it is what the directory lists now. A seed gives the same faults again.

import { pick, type Random, randomFrom } from "../../scripts/servers/seeded-random.ts";
import { directoryConfigFor, type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import { openSyncedStore, people, person, type SyncedStore, storedFacts } from "./sync-world.ts";

export interface FaultRounds {
  firstSeed: number;
  rounds: number;
}

export interface FaultOutcome {
  succeeded: number;
  /** How often runs failed, by their error codes. */
  failed: Record<string, number>;
}

/** One way to the server, with the store that knows it by this way. */
interface Line {
  proxy: FaultProxy;
  isSecure: boolean;
  store: SyncedStore;
  /** What an undisturbed run sends, in bytes. */
  answers: number;
  requests: number;
}

/** Rejects with the seed and the faults of the first round that breaks the rule. */
export async function runFaultRounds({ firstSeed, rounds }: FaultRounds): Promise<FaultOutcome> {
  await using opened = new AsyncDisposableStack();
  const slapd = opened.adopt(await startSlapd({ ldif: people(24), tls: true }), (it) => it.stop());
  const lines: Line[] = [];
  for (const isSecure of [false, true]) {
    const target = isSecure ? slapd.ldapsPort : slapd.port;
    const proxy = opened.adopt(await startFaultProxy(target), (it) => it.close());
    const store = opened.adopt(await openSyncedStore(directoryConfigFor(slapd)), (it) => it.stop());
    lines.push(await measuredLine(proxy, isSecure, store));
  }
  const outcome: FaultOutcome = { succeeded: 0, failed: {} };
  for (let seed = firstSeed; seed < firstSeed + rounds; seed += 1) {
    const random = randomFrom(seed);
    const line = pick(random, lines);
    const faults = randomFaults(random, line);
    const before = await storedFacts(line.store);
    line.proxy.faults = faults;
    const run = await line.store.sync();
    const said = `seed ${seed}: ${JSON.stringify(faults)}, ${line.store.directory.urls}, run ${run.status}`;
    if (run.status === "succeeded") {
      outcome.succeeded += 1;
      requireEqual(await activeUsers(line.store), await listedUsers(slapd), said);
      await changeDirectory(slapd, random, seed);
    } else {
      const code = run.error?.code ?? run.status;
      outcome.failed[code] = (outcome.failed[code] ?? 0) + 1;
      if (code === "internal") throw new Error(`${said}: ${run.error?.message}`);
      requireEqual(await storedFacts(line.store), before, said);
    }
  }
  return outcome;
}

/** One undisturbed run over the line: the first import, and how many bytes a run takes. */
async function measuredLine(proxy: FaultProxy, isSecure: boolean, store: SyncedStore): Promise<Line> {
  const { directory } = store;
  directory.urls = [isSecure ? `ldaps://127.0.0.1:${proxy.port}` : proxy.url];
  Object.assign(directory.limits, { pageSize: 5, removals: { count: 1000, percent: 100 } });
  const run = await store.sync();
  if (run.status !== "succeeded")
    throw new Error(`undisturbed, the run ${run.status}: ${run.error?.message}`);
  // Short, so that a silent line costs little; a slow machine fails more rounds, which is as good.
  Object.assign(directory.timeouts, { connectMs: 1_000, idleMs: 200 });
  return { proxy, isSecure, store, answers: proxy.bytesSeen, requests: proxy.bytesAsked };
}

// TCP notices neither a lost nor a changed byte that its own checksum does not: only TLS can be asked to.
const plainKinds = ["reset", "end", "stall", "delay"] as const;
const tlsKinds = [...plainKinds, "drop", "corrupt"] as const;

function randomFaults(random: Random, line: Line): Fault[] {
  // One round in four is only slow: those runs succeed, and their listings have to be whole.
  const onlySlow = random() < 0.25;
  return Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
    const direction = pick(random, ["answers", "answers", "requests"] as const);
    const afterBytes = Math.floor(random() * line[direction]);
    const kind = onlySlow ? "delay" : pick(random, line.isSecure ? tlsKinds : plainKinds);
    return { direction, afterBytes, kind, ms: Math.floor(random() * 50) };
  });
}

/** Somebody is hired, somebody leaves, somebody gets another address: a lost part of a listing would show. */
async function changeDirectory(slapd: Slapd, random: Random, seed: number): Promise<void> {
  const present = (await slapd.search("(objectClass=inetOrgPerson)", ["uid"])).map(({ dn }) => dn);
  const [leaver, changed] = [pick(random, present), pick(random, present)];
  await slapd.add(person(`hired${seed}`));
  await slapd.modify(
    `dn: ${changed}\nchangetype: modify\nreplace: mail\nmail: ${seed}@example.org\n\ndn: ${leaver}\nchangetype: delete\n\n`,
  );
}

async function activeUsers(store: SyncedStore): Promise<string[]> {
  const active = (await store.users()).filter((user) => user.state === "active");
  return active.map((user) => `${user.directoryId} ${user.username} ${user.email}`).sort();
}

async function listedUsers(slapd: Slapd): Promise<string[]> {
  const entries = await slapd.search("(objectClass=inetOrgPerson)", ["entryUUID", "uid", "mail"]);
  return entries.map(({ attributes: { entryUUID, uid, mail } }) => `${entryUUID} ${uid} ${mail}`).sort();
}

function requireEqual(found: unknown, wanted: unknown, said: string): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${said}\nfound:  ${a}\nwanted: ${b}`);
}
