// A directory of a few people that changes at random between runs, with all that makes an entry unusable, and what must hold
// after each run whatever it was: nobody unreadable is enabled, nobody who is in the directory is removed.

import { expect } from "vitest";
import { type Random, randomFrom } from "../../scripts/servers/seeded-random.ts";
import {
  directoryConfigForFake,
  entry,
  type FakeAttributes,
  fakeBase,
  result,
  scriptFor,
  startFakeLdapServer,
  uuidOf,
} from "./fake-ldap-server.ts";
import { patientTimeouts, type Rounds, type RoundsSeen } from "./random-rounds.ts";
import { openSyncedStore, type SyncedStore, setLimits } from "./sync-world.ts";

/** One entry, as the server would show it; an undefined attribute is hidden or missing. */
interface Person {
  rdn: string;
  id: string | undefined;
  uid: string | Buffer | undefined;
  control: string | undefined;
  displayName: string | undefined;
  mail: string | undefined;
}

interface Stored {
  id: string;
  directory_id: string;
  username_key: string;
  dn_key: string;
  state: "active" | "disabled" | "removed";
}

/** What has to come up in many rounds. */
export const directoryMatters = ["succeeded", "held", "skipped", "disabled", "removed", "restored"];

const names = ["anna", "ben", "carl", "dora", "eva", "finn"];
const overlong = "x".repeat(5000);
const mostPeople = 8;
// Few enough that they come back, and that two entries meet in one.
const anyId = (random: Random) => uuidOf(1 + Math.floor(random() * 15));

/** Runs `rounds` of changes and a run each; throws with the seed and the round where something does not hold. */
export async function runDirectoryRounds({ seed, rounds, endsAt }: Rounds): Promise<RoundsSeen> {
  const random = randomFrom(seed);
  let people: Person[] = [];
  const listing = scriptFor(({ id }) => [
    ...people.map((person) => entry(id, dnOf(person), attributesOf(person))),
    result(id, 0, { cookie: "" }),
  ]);
  const server = await startFakeLdapServer(listing);
  const directory = directoryConfigForFake(server, { kind: "openldap", timeouts: patientTimeouts });
  directory.users.disabled = { kind: "user-account-control", attribute: "employeeNumber" };
  const store = await openSyncedStore(directory);
  // Limits have tests of their own; here every plan is to be applied.
  setLimits(directory, { count: 1_000_000 });
  const seen = { succeeded: 0, held: 0, skipped: 0, disabled: 0, removed: 0, restored: 0 };
  try {
    let before: Stored[] = [];
    let round = 0;
    for (; round < rounds && Date.now() < endsAt; round += 1) {
      for (let changes = 1 + Math.floor(random() * 3); changes > 0; changes -= 1)
        people = changed(random, people);
      const run = await store.sync();
      const told = `seed ${seed}, round ${round}: ${JSON.stringify(people, (_, value) => (value === overlong ? "overlong" : value))}`;
      expect(run.error, told).toBeNull();
      const after = await storedUsers(store);
      if (run.status === "held") {
        expect(run.holdReasons.map(({ code }) => code).join(), told).toMatch(/^listing-(empty|unusable)$/);
        expect(after, told).toEqual(before);
        seen.held += 1;
        continue;
      }
      requireNoHarm({ before, after, people, told });
      seen.succeeded += 1;
      for (const name of ["skipped", "disabled", "removed", "restored"] as const)
        seen[name] += run.counts?.[name] ?? 0;
      before = after;
    }
    return { rounds: round, seen };
  } finally {
    await store.stop();
    await server.stop();
  }
}

function requireNoHarm(world: { before: Stored[]; after: Stored[]; people: Person[]; told: string }): void {
  const { before, after, people, told } = world;
  const knownBefore = new Map(before.map((user) => [user.directory_id, user]));
  for (const user of after) {
    const claims = people.filter(({ id }) => id === user.directory_id);
    const nameless = people.filter(({ id }) => id === undefined);
    const old = knownBefore.get(user.directory_id);
    const said = `${told}, ${user.directory_id} was ${old?.state} and is ${user.state}`;
    // A user is its directory id, for good.
    if (old !== undefined) expect(user.id, said).toBe(old.id);
    // Active anew: one entry, which can be used and says so.
    if (user.state === "active" && old?.state !== "active") {
      expect(
        claims.map(({ control }) => control),
        said,
      ).toEqual(["512"]);
      expect(
        claims.every(({ uid }) => typeof uid === "string" && uid.trim() !== ""),
        said,
      ).toBe(true);
    }
    // What the only entry says of its state counts.
    const [only, ...others] = claims;
    if (only?.control === "514" && others.length === 0) expect(user.state, said).not.toBe("active");
    // Removed now: nobody in the directory is it, or may be it.
    const mayBeIt = (person: Person) =>
      dnOf(person).toLowerCase() === old?.dn_key ||
      (typeof person.uid === "string" && person.uid === old?.username_key);
    const isThere = claims.length > 0 || nameless.some(mayBeIt);
    if (old !== undefined && old.state !== "removed") expect(user.state === "removed", said).toBe(!isThere);
    // The name is the entry's, or the one that the user had.
    if (old !== undefined && old.username_key !== user.username_key) {
      expect(
        claims.map(({ uid }) => uid),
        said,
      ).toEqual([user.username_key]);
    }
  }
}

async function storedUsers(store: SyncedStore): Promise<Stored[]> {
  return store.database
    .db("users")
    .select("id", "directory_id", "username_key", "dn_key", "state")
    .orderBy("directory_id");
}

// As `pick`, with undefined among the values.
function oneOf<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)] as T; // never called with an empty list
}

function changed(random: Random, people: Person[]): Person[] {
  const at = Math.floor(random() * people.length);
  const person = people[at];
  const edit = (change: Partial<Person>) =>
    people.map((other, n) => (n === at ? { ...other, ...change } : other));
  if (person === undefined || (people.length < mostPeople && random() < 0.15))
    return [...people, newPerson(random, people)];
  const doing = oneOf(random, [
    () => edit({ control: oneOf(random, ["512", "514", undefined, "junk"]) }),
    () => edit({ control: oneOf(random, ["512", "514"]) }),
    () => edit({ displayName: oneOf(random, ["A person", overlong, "nul\0"]) }),
    () => edit({ mail: oneOf(random, [undefined, overlong, "a@example.org"]) }),
    () => edit({ uid: oneOf(random, [undefined, " ", Buffer.from([0xe9]), "\u202e"]) }),
    () => edit({ uid: oneOf(random, names) }),
    () => edit({ id: random() < 0.3 ? undefined : oneOf(random, people).id }),
    () => edit({ id: anyId(random) }),
    () => people.filter((_, n) => n !== at),
    // Somebody else in the same place, who may write what they like.
    () => edit({ id: anyId(random), displayName: overlong }),
    () => (people.some(({ rdn }) => rdn === `${person.rdn}x`) ? people : edit({ rdn: `${person.rdn}x` })),
    // Everybody's names are hidden for once, or can be read again.
    () => (random() < 0.2 ? people.map((one) => ({ ...one, uid: undefined })) : people),
    () => people.map((one, n) => ({ ...one, uid: names[n % names.length] })),
  ]);
  return doing();
}

function newPerson(random: Random, people: Person[]): Person {
  const rdn = `p${Math.floor(random() * 1e6)}`;
  const id = random() < 0.1 && people.length > 0 ? oneOf(random, people).id : anyId(random);
  return { rdn, id, uid: oneOf(random, names), control: "512", displayName: rdn, mail: undefined };
}

function dnOf({ rdn }: Person): string {
  return `cn=${rdn},${fakeBase}`;
}

function attributesOf({ id, uid, control, displayName, mail }: Person): FakeAttributes {
  const attributes = { entryUUID: id, uid, employeeNumber: control, displayName, mail };
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => (value === undefined ? [] : [[name, [value]]])),
  );
}
