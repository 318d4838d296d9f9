// A directory whose groups change at random between runs: who lists whom, cycles, what is renamed without a word to those who list
// it, what cannot be read for a while. After each run the stored memberships must follow from the stored users and groups,
// however few of them the run has looked at (rule 28): worked out here once more, from the beginning.

import { expect } from "vitest";
import { pick, type Random, randomFrom } from "../../scripts/servers/seeded-random.ts";
import { getDirectoryMemory } from "../../src/sync/directories-table.ts";
import {
  directoryConfigForFake,
  entry,
  type FakeAttributes,
  type FakeScript,
  fakeBase,
  result,
  scriptFor,
  startFakeLdapServer,
  uuidOf,
} from "./fake-ldap-server.ts";
import { patientTimeouts, type Rounds, type RoundsSeen } from "./random-rounds.ts";
import { openSyncedStore, type SyncedStore, setLimits } from "./sync-world.ts";

const groupsBase = "ou=groups,dc=fake";
// Few enough that what left a name is often followed by something else under it.
const personNames = Array.from({ length: 9 }, (_, n) => `p${n}`);
const groupNames = Array.from({ length: 7 }, (_, n) => `g${n}`);
const gids = ["500", "501"];
const personDn = (name: string) => `cn=${name},${fakeBase}`;
const groupDn = (name: string) => `cn=${name},${groupsBase}`;
const everyDn = [...personNames.map(personDn), ...groupNames.map(groupDn)];

interface Person {
  id: string;
  name: string;
  uid: string;
  gid: string | undefined;
  isUnreadable: boolean;
}

interface Group {
  id: string;
  name: string;
  /** DNs, whoever is there now. */
  members: string[];
  memberUids: string[];
  gid: string | undefined;
  isUnreadable: boolean;
}

interface Organization {
  people: Person[];
  groups: Group[];
  changes: number;
  lastNumber: number;
}

interface View {
  of: Organization;
  suffix: "usual" | "other";
  breaks: boolean;
}

/** What has to come up in many rounds. */
export const groupMatters = [
  ...["usual", "olderCopy", "otherServer", "breaks", "nested", "joined", "left", "narrow", "whole"],
];

/** Runs `rounds` of changes and a run each; throws with the seed and the round where something does not hold. */
export async function runGroupRounds({ seed, rounds, endsAt }: Rounds): Promise<RoundsSeen> {
  const random = randomFrom(seed);
  const truth: Organization = { people: [], groups: [], changes: 1, lastNumber: 0 };
  for (let n = 0; n < 6; n += 1) hire(random, truth);
  for (let n = 0; n < 4; n += 1) makeGroup(random, truth);
  let view: View = { of: truth, suffix: "usual", breaks: false };
  const server = await startFakeLdapServer(scriptOf(() => view));
  const directory = directoryConfigForFake(server, { kind: "openldap", timeouts: patientTimeouts });
  const attributes = { id: undefined, name: undefined };
  directory.groups = { bases: [groupsBase], filter: undefined, attributes, members: undefined, nested: true };
  const store = await openSyncedStore(directory);
  setLimits(directory, { count: 1_000_000 });
  const seen: Record<string, number> = {};
  const count = (name: string, times = 1) => {
    seen[name] = (seen[name] ?? 0) + times;
  };
  const memory = () => getDirectoryMemory(store.database.db, directory.name);
  const earlier: Organization[] = [];
  try {
    let round = 0;
    for (; round < rounds && Date.now() < endsAt; round += 1) {
      earlier.push(structuredClone(truth));
      let told = `seed ${seed}, round ${round}`;
      for (let left = Math.floor(random() * 4); left > 0; left -= 1) {
        const [name, change] = pick(random, Object.entries(changes));
        change(random, truth);
        told += `, ${name}`;
      }
      truth.changes += 1;
      if (random() < 0.08) {
        directory.groups.nested = !directory.groups.nested;
        count("nested");
      }
      const how = random() < 0.75 ? "usual" : pick(random, ["olderCopy", "otherServer", "breaks"]);
      view = {
        of: structuredClone(how === "olderCopy" ? pick(random, earlier.slice(-4)) : truth),
        suffix: how === "otherServer" ? "other" : "usual",
        breaks: how === "breaks",
      };
      const before = await storedMemberships(store);
      const { membershipsAs } = await memory();
      const run = await store.sync();
      told += `: ${how}, ${directory.groups.nested ? "nested" : "direct"}, ${run.status}\n${JSON.stringify(view.of)}`;
      // Where those who can be read have names of stored users who cannot, nothing of the listing is usable.
      if (run.holdReasons.length === 1 && run.holdReasons[0]?.code === "listing-unusable") {
        expect(await storedMemberships(store), told).toEqual(before);
        continue;
      }
      const why = run.error?.message ?? JSON.stringify(run.holdReasons);
      expect(run.status, `${told} ${why}`).toBe(how === "breaks" ? "failed" : "succeeded");
      count(how);
      count(membershipsAs === (directory.groups.nested ? "nested" : "direct") ? "narrow" : "whole");
      const after = await storedMemberships(store);
      count("joined", after.filter((one) => !before.includes(one)).length);
      count("left", before.filter((one) => !after.includes(one)).length);
      const as = (await memory()).membershipsAs;
      if (as !== null) expect(after, told).toEqual(await followingFromStored(store, as === "nested"));
      const isWhole = run.notes.every(({ code }) => code !== "older-copy" && code !== "another-server");
      if (how === "usual" && as !== null && isWhole) await requireStored(store, view.of, told);
    }
    return { rounds: round, seen };
  } finally {
    await store.stop();
    await server.stop();
  }
}

async function storedMemberships({ database: { db } }: SyncedStore): Promise<string[]> {
  const rows = await db("user_groups")
    .join("users", "users.id", "user_id")
    .join("groups", "groups.id", "group_id")
    .select({ user: "users.directory_id", group: "groups.directory_id" });
  return rows.map(({ user, group }) => `${user} in ${group}`).sort();
}

/** Who is in which group by what is stored of both: each group by itself, and all that it lists walked through. */
async function followingFromStored({ database: { db } }: SyncedStore, nested: boolean): Promise<string[]> {
  const users = await db("users").whereNot({ state: "removed" });
  const groups = await db("groups");
  const edges = await db("group_members");
  const keysOf = (user: (typeof users)[number]) => [
    `dn:${user.dn_key}`,
    `uid:${user.username_key}`,
    user.primary_group_key,
  ];
  return groups
    .flatMap((group) => {
      const reached = new Set([group]);
      const keys = new Set<string>();
      for (const one of reached) {
        for (const { group_id, member_key } of edges) if (group_id === one.id) keys.add(member_key);
        if (nested) for (const inner of groups) if (keys.has(`dn:${inner.dn_key}`)) reached.add(inner);
      }
      return users
        .filter((user) => keysOf(user).some((key) => keys.has(key)))
        .map((user) => `${user.directory_id} in ${group.directory_id}`);
    })
    .sort();
}

/** What is stored of groups that can be read is what the directory showed. */
async function requireStored({ database: { db } }: SyncedStore, shown: Organization, told: string) {
  for (const group of shown.groups) {
    if (group.isUnreadable) continue;
    const rows = await db("group_members")
      .join("groups", "groups.id", "group_id")
      .where({ directory_id: group.id })
      .select("member_key");
    const wanted = [
      ...group.members.map((dn) => `dn:${dn}`),
      ...group.memberUids.map((uid) => `uid:${uid}`),
      ...(group.gid === undefined ? [] : [`gid:${group.gid}`]),
    ];
    expect(rows.map(({ member_key }) => member_key).sort(), `${told}: ${group.name}`).toEqual(wanted.sort());
  }
}

function newId(organization: Organization): string {
  organization.lastNumber += 1;
  return uuidOf(organization.lastNumber);
}

function freeName(random: Random, names: readonly string[], taken: readonly { name: string }[]): string {
  return pick(
    random,
    names.filter((name) => taken.every((one) => one.name !== name)),
  );
}

function hire(random: Random, organization: Organization): void {
  const { people } = organization;
  if (people.length >= personNames.length - 1) return;
  const name = freeName(random, personNames, people);
  const id = newId(organization);
  people.push({ id, name, uid: freeUid(random, people), gid: undefined, isUnreadable: false });
}

function freeUid(random: Random, people: readonly Person[]): string {
  return pick(
    random,
    personNames.map((name) => `u${name}`).filter((uid) => people.every((one) => one.uid !== uid)),
  );
}

function makeGroup(random: Random, organization: Organization): void {
  const { groups } = organization;
  if (groups.length >= groupNames.length - 1) return;
  const name = freeName(random, groupNames, groups);
  const members = everyDn.filter(() => random() < 0.2);
  groups.push({
    ...{ id: newId(organization), name, members, memberUids: [], gid: undefined, isUnreadable: false },
  });
}

const toggled = <T>(values: T[], value: T) =>
  values.includes(value) ? values.filter((one) => one !== value) : [...values, value];

function toggleEdge(random: Random, { groups }: Organization): void {
  const group = pick(random, groups);
  group.members = toggled(group.members, pick(random, everyDn));
}

function toggleNesting(random: Random, { groups }: Organization): void {
  const group = pick(random, groups);
  group.members = toggled(group.members, groupDn(pick(random, groupNames)));
}

const changes = {
  toggleEdge,
  toggleEdgeToo: toggleEdge,
  toggleNesting,
  toggleUid: (random, { groups }) => {
    const group = pick(random, groups);
    group.memberUids = toggled(group.memberUids, `u${pick(random, personNames)}`);
  },
  groupGid: (random, { groups }) => {
    pick(random, groups).gid = random() < 0.4 ? undefined : pick(random, gids);
  },
  personGid: (random, { people }) => {
    pick(random, people).gid = random() < 0.3 ? undefined : pick(random, gids);
  },
  personMoved: (random, { people, groups }) => {
    const person = pick(random, people);
    const before = personDn(person.name);
    person.name = freeName(random, personNames, people);
    if (random() < 0.5) replaceEverywhere(groups, before, personDn(person.name));
  },
  personRenamed: (random, { people }) => {
    pick(random, people).uid = freeUid(random, people);
  },
  groupMoved: (random, { groups }) => {
    const group = pick(random, groups);
    const before = groupDn(group.name);
    group.name = freeName(random, groupNames, groups);
    if (random() < 0.5) replaceEverywhere(groups, before, groupDn(group.name));
  },
  groupsSwapped: (random, { groups }) => {
    const [one, other] = [pick(random, groups), pick(random, groups)];
    [one.name, other.name] = [other.name, one.name];
  },
  hired: hire,
  left: (random, organization) => {
    if (organization.people.length < 4) return;
    const gone = pick(random, organization.people);
    organization.people = organization.people.filter((person) => person !== gone);
  },
  groupMade: makeGroup,
  groupGone: (random, organization) => {
    if (organization.groups.length < 4) return;
    const gone = pick(random, organization.groups);
    organization.groups = organization.groups.filter((group) => group !== gone);
  },
  personUnreadable: (random, { people }) => {
    const person = pick(random, people);
    person.isUnreadable = !person.isUnreadable && people.filter((one) => !one.isUnreadable).length > 3;
  },
  groupUnreadable: (random, { groups }) => {
    const group = pick(random, groups);
    group.isUnreadable = !group.isUnreadable && groups.filter((one) => !one.isUnreadable).length > 2;
  },
} satisfies Record<string, (random: Random, organization: Organization) => void>;

function replaceEverywhere(groups: Group[], before: string, now: string): void {
  for (const group of groups)
    group.members = [...new Set(group.members.map((dn) => (dn === before ? now : dn)))];
}

function scriptOf(view: () => View): FakeScript {
  const listing: FakeScript = ({ base, id }, socket) => {
    const { of, breaks } = view();
    const entries =
      base === groupsBase
        ? of.groups.map((group) => entry(id, groupDn(group.name), attributesOfGroup(group)))
        : of.people.map((person) => entry(id, personDn(person.name), attributesOfPerson(person)));
    if (!breaks || base !== groupsBase) return [...entries, result(id, 0, { cookie: "" })];
    socket.end(Buffer.concat(entries.slice(0, -1)));
    return undefined;
  };
  return scriptFor(listing, ({ operation, scope, base, id }) => {
    if (operation !== "search" || scope !== "base") return undefined;
    const { of, suffix } = view();
    if (base === "") {
      const attributes = { namingContexts: ["dc=fake"], structuralObjectClass: ["OpenLDAProotDSE"] };
      return [entry(id, "", attributes), result(id, 0)];
    }
    if (base !== "dc=fake") return undefined;
    const entryUUID = [uuidOf(suffix === "usual" ? 800_000 : 800_001)];
    const contextCSN = [`20260131120000.${String(of.changes).padStart(6, "0")}Z#000000#001#000000`];
    return [entry(id, "dc=fake", { entryUUID, contextCSN }), result(id, 0)];
  });
}

function attributesOfPerson({ id, uid, gid, isUnreadable }: Person): FakeAttributes {
  return {
    entryUUID: [id],
    ...(isUnreadable ? {} : { uid: [uid] }),
    ...(gid === undefined ? {} : { gidNumber: [gid] }),
  };
}

function attributesOfGroup({ id, name, members, memberUids, gid, isUnreadable }: Group): FakeAttributes {
  return {
    entryUUID: [id],
    ...(isUnreadable ? {} : { cn: [name] }),
    ...(members.length === 0 ? {} : { member: members }),
    ...(memberUids.length === 0 ? {} : { memberUid: memberUids }),
    ...(gid === undefined ? {} : { gidNumber: [gid] }),
  };
}
