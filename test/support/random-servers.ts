// A directory on a real server of any kind that changes at random between full and incremental runs, while the server is restarted,
// killed under a run, and brought back from an older backup, and while dirmfa loses its mark. What must hold after each run: nobody was
// removed but by a full run that listed everybody else; an incremental run has seen whoever is there; and a full run of a copy that
// is not an older one has made the store what the directory is.

import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { change, type DirectoryUnderTest, moveTo } from "../../scripts/servers/directory-under-test.ts";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { pick, type Random, randomFrom } from "../../scripts/servers/seeded-random.ts";
import { acceptServer } from "../../src/sync/accept-server.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { patientTimeouts, type Rounds, type RoundsSeen } from "./random-rounds.ts";
import { openSyncedStore, type SyncedStore, setLimits } from "./sync-world.ts";

const names = ["anna", "ben", "carl", "dora", "eva", "finn", "gina"];

interface Person {
  dn: string;
  username: string;
  email: string | null;
  state: string;
  inStaff: boolean;
}

interface World {
  server: DirectoryUnderTest;
  store: SyncedStore;
  random: Random;
  units: Units;
}

interface Units {
  people: string;
  branch: string;
  /** Outside of what is listed. */
  elsewhere: string;
  groups: string;
}

/** Runs `rounds` of changes and a run each below a unit of its own; throws with the seed and the round where something does not hold. */
export async function runServerRounds(
  server: DirectoryUnderTest,
  { seed, rounds, endsAt }: Rounds,
): Promise<RoundsSeen> {
  const random = randomFrom(seed);
  const people = `ou=people,ou=random,${server.suffix}`;
  const units = {
    people,
    branch: `ou=branch,${people}`,
    elsewhere: `ou=elsewhere,ou=random,${server.suffix}`,
    groups: `ou=groups,ou=random,${server.suffix}`,
  };
  await server.add([`ou=random,${server.suffix}`, ...Object.values(units)].map(unitEntry).join(""));
  await server.add(server.person("keeper", people) + server.person("warden", units.branch));
  await server.add(server.group("staff", units.groups, [server.personDn("keeper", people)]));
  const store = await openSyncedStore(server.directoryFor({ users: people, groups: units.groups }));
  store.directory.limits.pageSize = 3;
  store.directory.timeouts = patientTimeouts;
  // Limits have tests of their own; here every plan is to be applied.
  setLimits(store.directory, { count: 1_000_000 });
  const world: World = { server, store, random, units };
  const seen: Record<string, number> = {};
  const count = (name: string) => {
    seen[name] = (seen[name] ?? 0) + 1;
  };
  try {
    await server.backUp();
    await store.sync();
    let round = 0;
    for (; round < rounds && Date.now() < endsAt; round += 1) {
      const told = [`seed ${seed}, round ${round}`];
      for (let left = Math.floor(random() * 4); left > 0; left -= 1) told.push(await changeOne(world));
      const event = random() < 0.5 ? "quiet" : pick(random, Object.keys(events));
      await events[event]?.(world);
      told.push(event);
      count(event);
      const run = await runOnce(world, event, told);
      count(run.status === "failed" ? "failed" : run.kind);
      if (isOlder(run)) {
        count("older");
        await requireMadeEqualOnceAccepted(world, told);
      }
    }
    return { rounds: round, seen };
  } finally {
    await store.stop();
  }
}

/** What happens beside the changes of a round. */
const events: Record<string, (world: World) => Promise<void>> = {
  quiet: async () => {},
  restarted: ({ server }) => server.restart(),
  backedUp: ({ server }) => server.backUp(),
  restored: ({ server }) => server.restore(),
  markLost: async ({ store }) => void (await store.database.db("directory_marks").delete()),
  killedInRun: async () => {}, // see runOnce
};

export const serverMatters = [...Object.keys(events), "full", "incremental"];

async function runOnce(world: World, event: string, told: string[]): Promise<SyncRun> {
  const { server, store, random } = world;
  const before = await storedPeople(world);
  const kind = random() < 0.6 ? "incremental" : "full";
  const running = store.sync({ kind });
  if (event === "killedInRun") {
    await sleep(random() * 150); // somewhere between the connection and the end
    await server.kill();
  }
  const run = await running;
  if (event === "killedInRun") await server.restart();
  told.push(
    `${kind} and ${run.kind}: ${run.status} ${run.error?.message ?? ""} ${JSON.stringify(run.notes)}`,
  );
  const after = await storedPeople(world);
  const text = told.join("; ");
  if (run.status === "failed") {
    expect(event, text).toBe("killedInRun");
    expect(after, text).toEqual(before);
    return run;
  }
  expect(run.status, text).toBe("succeeded");
  const there = await listedPeople(world);
  if (isOlder(run)) requireOnlyAdded(before, after, text);
  else if (run.kind === "full") await requireEqual(world, { there, after }, text);
  else {
    requireNobodyRemoved(before, after, text);
    for (const [dn, { inStaff: _, ...person }] of there) expect(after.get(dn), text).toMatchObject(person);
  }
  return run;
}

const isOlder = (run: SyncRun) => run.notes.some(({ code }) => code === "older-copy");

/** A server that has come back with less, and that a person accepts as it is now. */
async function requireMadeEqualOnceAccepted(world: World, told: string[]): Promise<void> {
  const { store } = world;
  const deps = { db: store.database.db, holder: "test" };
  await acceptServer(deps, { name: store.directory.name, actor: { name: "test", via: "cli" } });
  const run = await store.sync();
  const text = `${told.join("; ")}; accepted`;
  expect(run, text).toMatchObject({ status: "succeeded", kind: "full" });
  expect(isOlder(run), text).toBe(false);
  await requireEqual(world, { there: await listedPeople(world), after: await storedPeople(world) }, text);
}

/** Whoever is there is stored as they are, under the id by which the server finds them, and nobody else is. */
async function requireEqual(
  { server, store }: World,
  { there, after }: { there: People; after: People },
  told: string,
): Promise<void> {
  expect(Object.fromEntries(after), told).toEqual(Object.fromEntries(there));
  for (const user of await store.users()) {
    if (user.state === "removed") continue;
    expect((await server.findById(user.directoryId))?.toLowerCase(), told).toBe(user.dn.toLowerCase());
  }
}

function requireNobodyRemoved(before: People, after: People, told: string): void {
  const namesOf = (people: People) => new Set([...people.values()].map(({ username }) => username));
  expect(after.size, told).toBeGreaterThanOrEqual(before.size);
  expect(namesOf(after).size, told).toBe(after.size);
}

function requireOnlyAdded(before: People, after: People, told: string): void {
  for (const [dn, person] of before) expect(after.get(dn), told).toEqual(person);
}

/** By DN in lower case. */
type People = Map<string, Person>;

async function storedPeople({ store }: World): Promise<People> {
  const live = (await store.users()).filter(({ state }) => state !== "removed");
  return byDn(
    live.map(({ dn, username, email, state, groups }) => ({
      ...{ dn, username, email, state },
      inStaff: groups.some(({ name }) => name === "staff"),
    })),
  );
}

function byDn(people: Person[]): People {
  return new Map(
    people.map((person) => [person.dn.toLowerCase(), { ...person, dn: person.dn.toLowerCase() }]),
  );
}

async function listedPeople({ server, units }: World): Promise<People> {
  const [staff] = await server.search("(cn=staff)", ["member"], units.groups);
  const members = new Set(staff?.attributes.member?.map((dn) => dn.toLowerCase()));
  const entries = await server.search("(mail=*)", attributesAsked, units.people);
  return byDn(
    entries.map(({ dn, attributes }) => ({
      dn,
      username: attributes[server.usernameAttribute]?.[0] ?? "",
      email: attributes.mail?.[0] ?? null,
      state: isLocked(attributes) ? "disabled" : "active",
      inStaff: members.has(dn.toLowerCase()),
    })),
  );
}

const lockAttributes = ["pwdAccountLockedTime", "nsAccountLock", "userAccountControl"] as const;
const attributesAsked = ["uid", "sAMAccountName", "mail", ...lockAttributes];

function isLocked(attributes: Record<string, string[]>): boolean {
  const [lockedTime, accountLock, accountControl] = lockAttributes.map((name) => attributes[name]?.[0]);
  return lockedTime !== undefined || accountLock === "TRUE" || (Number(accountControl ?? 0) & 2) !== 0; // ACCOUNTDISABLE
}

/** Changes one thing in the directory, and says what. */
async function changeOne({ server, random, units }: World): Promise<string> {
  const found = await server.search("(mail=*)", attributesAsked, `ou=random,${server.suffix}`);
  const all = found.map(({ dn, attributes }) => ({
    ...{ dn, isLocked: isLocked(attributes), username: attributes[server.usernameAttribute]?.[0] ?? "" },
    unit: dn.slice(dn.indexOf(",") + 1),
  }));
  const free = names.filter((name) => all.every(({ username }) => username !== name));
  const changeable = all.filter(({ username }) => names.includes(username));
  const homes = [units.people, units.branch];
  const [name, person] = [
    free.length === 0 ? undefined : pick(random, free),
    changeable.length === 0 ? undefined : pick(random, changeable),
  ];
  const ways: (() => string)[] = [];
  if (name !== undefined)
    ways.push(() => server.person(name, pick(random, homes)).replace("\n", "\nchangetype: add\n"));
  if (person !== undefined) {
    const { dn, unit, username } = person;
    ways.push(
      () => change(dn, "replace: mail", `mail: m${Math.floor(random() * 100)}@example.org`),
      () => (person.isLocked ? server.unlock(dn) : server.lock(dn)),
      () => `dn: ${dn}\nchangetype: delete\n\n`,
      () =>
        moveTo(
          dn,
          pick(
            random,
            [...homes, units.elsewhere].filter((other) => !isSameDn(other, unit)),
          ),
        ),
    );
    if (name !== undefined) ways.push(() => server.rename(username, name, unit));
  }
  ways.push(() => {
    const members = all.filter(({ username }) => username === "keeper" || random() < 0.4);
    return change(`cn=staff,${units.groups}`, "replace: member", ...members.map(({ dn }) => `member: ${dn}`));
  });
  const ldif = pick(random, ways)();
  await server.modify(ldif);
  return ldif.trim().replaceAll("\n", ", ");
}

const isSameDn = (one: string, other: string) => one.toLowerCase() === other.toLowerCase();

function unitEntry(dn: string): string {
  const value = dn.slice("ou=".length, dn.indexOf(","));
  return ldifEntry(dn, [
    ["objectClass", "organizationalUnit"],
    ["ou", value],
  ]);
}
