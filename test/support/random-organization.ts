// A small organization as its directory knows it, and the ways in which it changes at random. What a server shows of it is
// another matter: see random-views.ts.

import { pick, type Random } from "../../scripts/servers/seeded-random.ts";
import { uuidOf } from "./fake-ldap-server.ts";

export interface Person {
  /** The directory id; for good. */
  id: string;
  rdn: string;
  base: 0 | 1;
  uid: string;
  isLocked: boolean;
  displayName: string;
  /** What makes the entry unusable: a name that nobody may have, or the id of somebody else. */
  flaw?: "bad-name" | "shared-id";
}

export interface Group {
  id: string;
  cn: string;
  /** The rdn of people; what a group lists moves with them. */
  members: string[];
  /** Ids of groups that it lists. */
  groups: string[];
}

export interface Organization {
  people: Person[];
  groups: Group[];
  /** Who has left and may come back. */
  left: Person[];
  /** How often it was changed: the change number of a server that has all of it. */
  changes: number;
  /** The last number that a person or a group was given: ids are nobody else's later. */
  lastNumber: number;
}

export const bases = ["ou=staff,dc=fake", "ou=guests,dc=fake"] as const;
export const groupsBase = "ou=groups,dc=fake";
export const dnOf = ({ rdn, base }: Person) => `cn=${rdn},${bases[base]}`;
export const groupDnOf = ({ cn }: Pick<Group, "cn">) => `cn=${cn},${groupsBase}`;
export const groupNames = ["vpn", "admins", "outer"];

// Fewer, and a wrong listing would look like some leavers; more cost time.
const fewestPeople = 14;
const mostPeople = 20;

function newNumber(organization: Organization): number {
  organization.lastNumber += 1;
  return organization.lastNumber;
}

export function newOrganization(random: Random): Organization {
  const organization: Organization = { people: [], groups: [], left: [], changes: 1, lastNumber: 0 };
  while (organization.people.length < fewestPeople + 2) hire(random, organization);
  for (const cn of groupNames) addGroup(random, organization, cn);
  return organization;
}

function hire(random: Random, organization: Organization): void {
  const { people, left } = organization;
  const number = newNumber(organization);
  // Now and then somebody gets the name of one who has left.
  const free = left.map(({ uid }) => uid).filter((name) => !people.some(({ uid }) => uid === name));
  const uid = free.length > 0 && random() < 0.3 ? pick(random, free) : `user${number}`;
  const base = random() < 0.6 ? 0 : 1;
  people.push({
    id: uuidOf(number),
    rdn: `p${number}`,
    base,
    uid,
    isLocked: random() < 0.2,
    displayName: uid,
  });
}

function addGroup(random: Random, organization: Organization, cn: string): void {
  const { people, groups } = organization;
  const members = people.filter(() => random() < 0.5).map(({ rdn }) => rdn);
  const nested = cn === "outer" ? groups.filter(({ cn: name }) => name === "vpn") : [];
  groups.push({ id: uuidOf(newNumber(organization)), cn, members, groups: nested.map(({ id }) => id) });
}

/** What changes an organization; false when there was nothing to change in that way. */
type Change = (random: Random, organization: Organization) => boolean;

const onPerson =
  (change: (person: Person, random: Random, organization: Organization) => void): Change =>
  (random, organization) => {
    change(pick(random, organization.people), random, organization);
    return true;
  };

const onGroup =
  (change: (group: Group, random: Random, organization: Organization) => void): Change =>
  (random, organization) => {
    if (organization.groups.length === 0) return false;
    change(pick(random, organization.groups), random, organization);
    return true;
  };

const joinOrLeave = onGroup((group, random, { people }) => {
  const { rdn } = pick(random, people);
  const others = group.members.filter((member) => member !== rdn);
  group.members = others.length < group.members.length ? others : [...others, rdn];
});

export const changes = {
  join: joinOrLeave,
  leave: joinOrLeave,
  groupGone: (random, organization) => {
    if (organization.groups.length < 2) return false;
    const gone = pick(random, organization.groups);
    organization.groups = organization.groups.filter((group) => group !== gone);
    return true;
  },
  groupMade: (random, organization) => {
    const missing = groupNames.filter((name) => organization.groups.every(({ cn }) => cn !== name));
    if (missing.length === 0) return false;
    addGroup(random, organization, pick(random, missing));
    return true;
  },
  groupRenamed: onGroup((group, random, { groups }) => {
    const free = [...groupNames, "renamed", "other"].filter((name) => groups.every(({ cn }) => cn !== name));
    group.cn = pick(random, free);
  }),
  hired: (random, organization) => {
    if (organization.people.length >= mostPeople) return false;
    hire(random, organization);
    return true;
  },
  left: (random, organization) => {
    if (organization.people.length <= fewestPeople) return false;
    const gone = pick(random, organization.people);
    organization.people = organization.people.filter((person) => person !== gone);
    organization.left.push(gone);
    return true;
  },
  cameBack: (random, organization) => {
    if (organization.left.length === 0 || organization.people.length >= mostPeople) return false;
    const back = pick(random, organization.left);
    organization.left = organization.left.filter((person) => person !== back);
    organization.people.push({ ...back, isLocked: random() < 0.3 });
    return true;
  },
  swapped: (random, { people }) => {
    const [one, other] = [pick(random, people), pick(random, people)];
    [one.uid, other.uid] = [other.uid, one.uid];
    return one !== other;
  },
  renamed: onPerson((person, _, organization) => {
    person.uid = `user${newNumber(organization)}`;
  }),
  clash: (random, { people }) => {
    const [one, other] = [pick(random, people), pick(random, people)];
    one.uid = other.uid;
    return one !== other;
  },
  locked: onPerson((person) => {
    person.isLocked = true;
  }),
  unlocked: onPerson((person) => {
    person.isLocked = false;
  }),
  moved: onPerson((person) => {
    person.base = person.base === 0 ? 1 : 0;
  }),
  flawed: onPerson((person, random) => {
    person.flaw = random() < 0.5 ? "bad-name" : "shared-id";
  }),
  mended: (random, { people }) => {
    const flawed = people.filter(({ flaw }) => flaw !== undefined);
    if (flawed.length === 0) return false;
    delete pick(random, flawed).flaw;
    return true;
  },
  overlong: onPerson((person) => {
    person.displayName = person.displayName.length > 100 ? person.uid : "x".repeat(5000);
  }),
} satisfies Record<string, Change>;
export type ChangeName = keyof typeof changes;

/** Who is in which group, by the ids of groups and the rdn of people; with `nested`, also by the groups that a group lists. */
export function membersOf(organization: Organization, nested: boolean): Map<string, Set<string>> {
  const direct = new Map(organization.groups.map((group) => [group.id, group]));
  const collect = (id: string, seen: Set<string>): string[] => {
    const group = direct.get(id);
    if (!group || seen.has(id)) return [];
    seen.add(id);
    return [...group.members, ...(nested ? group.groups.flatMap((inner) => collect(inner, seen)) : [])];
  };
  return new Map(organization.groups.map(({ id }) => [id, new Set(collect(id, new Set()))]));
}

/** Those whose entries say without doubt who they are: nobody else claims the name, and no other entry has the id. */
export function clearPeople({ people }: Organization): Person[] {
  const names = Map.groupBy(people, ({ uid }) => uid);
  return people.filter((person) => {
    if (person.flaw === "bad-name" || names.get(person.uid)?.length !== 1) return false;
    const [first, ...others] = people;
    const isShared = person === first && others.some(({ flaw }) => flaw === "shared-id");
    return person.flaw === undefined && !isShared;
  });
}
