// A directory that changes at random between full and incremental runs, and what must hold after each: an incremental run has seen
// every entry that is there and has removed nobody, and a full run has made the store what the directory is.

import { expect } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { type Random, randomFrom } from "../../scripts/servers/seeded-random.ts";
import { directoryConfigFor, type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { patientTimeouts, type Rounds, type RoundsSeen } from "./random-rounds.ts";
import { openSyncedStore, person, type SyncedStore, setLimits } from "./sync-world.ts";

/** What has to come up in many rounds. */
export const incrementMatters = [
  "full",
  "incremental",
  "becameFull",
  "added",
  "changed",
  "disabled",
  "skipped",
  "left",
];

const units = ["ou=people", "ou=services"];
const names = ["anna", "ben", "carl", "dora", "eva", "finn", "gina"];
const groupDn = "cn=staff,ou=groups,dc=example,dc=org";

interface Entry {
  id: string;
  dn: string;
  uid: string;
  mail: string;
  disabled: boolean;
}

interface Stored {
  id: string;
  directory_id: string;
  username: string;
  email: string | null;
  state: string;
  dn: string;
  inStaff: boolean;
}

/** Runs `rounds` of changes and a run each; throws with the seed and the round where something does not hold. */
export async function runIncrementRounds({ seed, rounds, endsAt }: Rounds): Promise<RoundsSeen> {
  const random = randomFrom(seed);
  const slapd = await startSlapd({
    overlays: ["syncprov"],
    ldif: ldifEntry(groupDn, [
      ["objectClass", "groupOfNames"],
      ["cn", "staff"],
      ["member", "uid=anna,ou=people,dc=example,dc=org"],
    ]),
  });
  const directory = directoryConfigFor(slapd, { timeouts: patientTimeouts });
  directory.users.bases = units.map((unit) => `${unit},dc=example,dc=org`);
  directory.users.filter = "(&(objectClass=inetOrgPerson)(!(employeeType=guest)))";
  directory.users.disabled = { kind: "attribute", attribute: "employeeType", values: ["gone"] };
  const store = await openSyncedStore(directory);
  // Limits have tests of their own; here every plan is to be applied.
  setLimits(directory, { count: 1_000_000 });
  const seen = {
    full: 0,
    incremental: 0,
    becameFull: 0,
    added: 0,
    changed: 0,
    disabled: 0,
    skipped: 0,
    left: 0,
  };
  try {
    // A base that falls to nothing holds a run, which other tests show.
    await slapd.add(person("keeper") + person("warden", { ou: "ou=services" }));
    await store.sync();
    let round = 0;
    for (; round < rounds && Date.now() < endsAt; round += 1) {
      const changes = [];
      for (let left = Math.floor(random() * 4); left > 0; left -= 1)
        changes.push(await change(random, slapd));
      const before = await storedUsers(store);
      const kind = random() < 0.7 ? "incremental" : "full";
      const run = await store.sync({ kind });
      const told = `seed ${seed}, round ${round}, ${kind} and ${run.kind}: ${changes.join("; ")}`;
      expect(run, told).toMatchObject({ status: "succeeded", error: null });
      const entries = await listEntries(slapd);
      const after = await storedUsers(store);
      const skipped = await skippedIds(store, run);
      requireSeen({ skipped, entries, after, told });
      if (run.kind === "full") await requireEqual({ slapd, entries, after, told, skipped });
      else requireNobodyRemoved(before, after, told);
      for (const name of ["added", "changed", "disabled", "skipped"] as const)
        seen[name] += run.counts?.[name] ?? 0;
      seen.left += run.counts?.removed ?? 0;
      seen[kind === run.kind ? kind : "becameFull"] += 1;
    }
    return { rounds: round, seen };
  } finally {
    await store.stop();
    await slapd.stop();
  }
}

/** Every entry that is there is stored as it is, but for those that the run has skipped and could not use. */
function requireSeen(world: {
  skipped: ReadonlySet<string>;
  entries: Entry[];
  after: Stored[];
  told: string;
}): void {
  const { skipped, entries, after, told } = world;
  const stored = new Map(after.map((user) => [user.directory_id, user]));
  for (const entry of entries) {
    if (skipped.has(entry.id)) continue;
    const { id, uid, mail, dn, disabled } = entry;
    expect(stored.get(id), `${told}; entry ${dn}`).toMatchObject({
      username: uid,
      email: mail,
      dn,
      state: disabled ? "disabled" : "active",
    });
  }
}

/** Whoever is stored has an entry, and the group is as the directory has it. */
async function requireEqual(world: {
  slapd: Slapd;
  entries: Entry[];
  after: Stored[];
  skipped: ReadonlySet<string>;
  told: string;
}): Promise<void> {
  const { slapd, entries, after, skipped, told } = world;
  const there = new Set(entries.map(({ id }) => id));
  const live = after.filter(({ state }) => state !== "removed");
  for (const user of live) expect(there.has(user.directory_id), `${told}; user ${user.dn}`).toBe(true);
  const [staff] = await slapd.search("(cn=staff)", ["member"]);
  const members = new Set(staff?.attributes.member?.map((dn) => dn.toLowerCase()));
  for (const user of live) {
    if (skipped.has(user.directory_id)) continue;
    expect(user.inStaff, `${told}; membership of ${user.dn}`).toBe(members.has(user.dn.toLowerCase()));
  }
}

function requireNobodyRemoved(before: Stored[], after: Stored[], told: string): void {
  const states = new Map(after.map((user) => [user.id, user.state]));
  for (const user of before) {
    if (user.state !== "removed") expect(states.get(user.id), `${told}; user ${user.dn}`).not.toBe("removed");
  }
}

async function skippedIds({ database }: SyncedStore, { id }: SyncRun): Promise<Set<string>> {
  const { rows } = await database.db.raw<{ rows: { directory_id: string }[] }>(
    `select k.directory_id from sync_runs r join sync_skips k on k.run_id = coalesce(r.skips_of, r.id)
     where r.id = :id and k.directory_id is not null`,
    { id },
  );
  return new Set(rows.map((row) => row.directory_id));
}

async function storedUsers({ database }: SyncedStore): Promise<Stored[]> {
  const { rows } = await database.db.raw<{ rows: Stored[] }>(
    `select u.id, u.directory_id, u.username, u.email, u.state, u.dn,
       exists (select from user_groups g where g.user_id = u.id) as "inStaff"
     from users u`,
  );
  return rows;
}

async function listEntries(slapd: Slapd): Promise<Entry[]> {
  const found = await slapd.search("(&(objectClass=inetOrgPerson)(!(employeeType=guest)))", [
    ...["entryUUID", "uid", "mail", "employeeType"],
  ]);
  return found.map(({ dn, attributes }) => ({
    id: attributes.entryUUID?.[0] ?? "",
    dn,
    uid: attributes.uid?.[0] ?? "",
    mail: attributes.mail?.[0] ?? "",
    disabled: attributes.employeeType?.[0] === "gone",
  }));
}

/** Changes one thing in the directory, and says what. */
async function change(random: Random, slapd: Slapd): Promise<string> {
  const oneOf = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T; // never of none
  const all = await slapd.search("(objectClass=inetOrgPerson)", ["uid"]);
  const changeable = all.filter(({ attributes }) => names.includes(attributes.uid?.[0] ?? ""));
  const dn = changeable.length === 0 ? undefined : oneOf(changeable).dn;
  const free = units.flatMap((ou) =>
    names
      .filter((uid) => !all.some((entry) => entry.dn === `uid=${uid},${ou},dc=example,dc=org`))
      .map((uid) => ({ uid, ou })),
  );
  const to = oneOf(free);
  const modify = async (...lines: string[]) => {
    const ldif = `dn: ${dn}\nchangetype: ${lines.join("\n")}\n\n`;
    await slapd.modify(ldif);
    return ldif.trim().replaceAll("\n", ", ");
  };
  const member = `uid=${oneOf(names)},${oneOf(units)},dc=example,dc=org`;
  const add = async () => {
    await slapd.add(person(to.uid, { ou: to.ou }));
    return `add ${to.uid} in ${to.ou}`;
  };
  if (dn === undefined) return add();
  if (free.length === 0) return modify("delete");
  const ways = [
    add,
    add,
    () => modify("modify", "replace: mail", `mail: m${Math.floor(random() * 100)}@example.org`),
    () => modify("modify", "replace: employeeType", `employeeType: ${oneOf(["gone", "staff", "guest"])}`),
    () =>
      modify("modrdn", `newrdn: uid=${to.uid}`, "deleteoldrdn: 1", `newsuperior: ${to.ou},dc=example,dc=org`),
    () => modify("delete"),
    async () => {
      const members = oneOf([[member], [member, dn], [dn]]).map((value) => `member: ${value}`);
      const ldif = `dn: ${groupDn}\nchangetype: modify\nreplace: member\n${[...new Set(members)].join("\n")}\n\n`;
      await slapd.modify(ldif);
      return ldif.trim().replaceAll("\n", ", ");
    },
  ] as const;
  return oneOf(ways)();
}
