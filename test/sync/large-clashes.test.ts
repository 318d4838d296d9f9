// What clashes in large numbers is told in full sentences of bounded length, in time that grows with the number alone (rule 3).

import { afterAll, beforeAll, expect, test } from "vitest";
import { directoryConfigFor } from "../../scripts/servers/slapd.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { openSyncWorld, person, rename, type SyncWorld } from "../support/sync-world.ts";

let world: SyncWorld;
const sharing = 4000;
const chain = 400;
const nth = (n: number) => `chain${String(n).padStart(4, "0")}`;

beforeAll(async () => {
  const branch = (ou: string) =>
    `dn: ou=${ou},dc=example,dc=org\nobjectClass: organizationalUnit\nou: ${ou}\n\n`;
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
  world = await openSyncWorld({
    ldif:
      branch("names") +
      branch("ids") +
      numbers(sharing)
        .map((n) => person("same", { rdn: `cn=name${n}`, ou: "ou=names" }))
        .join("") +
      numbers(sharing)
        .map((n) => `${person(`id${n}`, { ou: "ou=ids" }).trimEnd()}\nemployeeNumber: one\n\n`)
        .join("") +
      numbers(chain)
        .map((n) => person(nth(n)))
        .join(""),
  });
});
afterAll(() => world.stop());

async function syncBranch(
  ou: string,
  id?: string,
): Promise<{ run: SyncRun; seconds: number; details: string[] }> {
  world.directory = { ...directoryConfigFor(world.slapd), name: ou, groups: undefined };
  world.directory.users.bases = [`ou=${ou},dc=example,dc=org`];
  world.directory.users.attributes.id = id;
  const startedAt = performance.now();
  const run = await world.sync();
  const seconds = (performance.now() - startedAt) / 1000;
  const details = await world.database
    .db("sync_skips")
    .where({ run_id: run.id })
    .orderBy("dn")
    .pluck("detail");
  return { run, seconds, details };
}

test("thousands of entries with one username are skipped with a few of the others named", async () => {
  const { run, seconds, details } = await syncBranch("names");
  expect(run).toMatchObject({ status: "held", counts: { listed: sharing, skipped: sharing } });
  const longest = Math.max(...details.map((detail) => detail.length));
  expect(longest).toBeLessThan(400);
  expect(details[0]).toMatch(
    /^The username same of cn=name0,ou=names\S+ is also that of cn=name\d+,\S+, cn=name\d+,\S+, cn=name\d+,\S+ and 3996 more; no user has it yet, so all of them are skipped\.$/,
  );
  // About one second here; what was quadratic took 24.
  expect(seconds).toBeLessThan(15);
}, 60_000);

test("the others are named by the beginning of their DNs, however long those are", async () => {
  const ou = (name: string, below: string) =>
    `dn: ou=${name},${below}\nobjectClass: organizationalUnit\nou: ${name}\n\n`;
  const deep = "o".repeat(200); // slapd takes little more in one part of a DN
  const rdns = ["a", "b", "c", "d"].map((letter) => `cn=${letter.repeat(200)}`);
  await world.slapd.add(
    ou("long", "dc=example,dc=org") +
      ou(deep, "ou=long,dc=example,dc=org") +
      rdns.map((rdn) => person("twin", { rdn, cn: "twin", ou: `ou=${deep},ou=long` })).join(""),
  );
  const { run, details } = await syncBranch("long");
  expect(run.counts).toMatchObject({ skipped: rdns.length });
  // Its own DN whole, of three others 300 characters each, and the sentence.
  for (const detail of details) expect(detail.length).toBeLessThan(500 + 3 * 300 + 200);
});

test("thousands of entries with one directory id as well", async () => {
  const { run, seconds, details } = await syncBranch("ids", "employeeNumber");
  expect(run).toMatchObject({ status: "held", counts: { listed: sharing, skipped: sharing } });
  expect(Math.max(...details.map((detail) => detail.length))).toBeLessThan(400);
  expect(details[0]).toMatch(/^The directory id one of uid=id0,.* and 3996 more; all of them are skipped\.$/);
  expect(seconds).toBeLessThan(15);
}, 60_000);

test("a chain of renames that cannot begin is skipped link by link, each with the user that keeps the name", async () => {
  world.directory.limits.pageSize = 500;
  await syncBranch("people");
  // Each takes the name of the next, and the last one a name that somebody keeps.
  await world.slapd.add(person("taken"));
  await syncBranch("people");
  const claims = Array.from({ length: chain }, (_, n) => {
    const name = n === chain - 1 ? "taken" : nth(n + 1);
    const dn = `cn=${nth(n)},ou=people,dc=example,dc=org`;
    const moved = rename(nth(n), nth(n)).replace(`newrdn: uid=${nth(n)}`, `newrdn: cn=${nth(n)}`);
    return `${moved}dn: ${dn}\nchangetype: modify\nreplace: uid\nuid: ${name}\n\n`;
  });
  await world.slapd.modify(claims.join(""));
  const { run, seconds, details } = await syncBranch("people");
  expect(run).toMatchObject({
    status: "succeeded",
    counts: { listed: chain + 1, skipped: chain, unchanged: 1 },
  });
  expect(details[0]).toBe(
    "The username chain0001 of cn=chain0000,ou=people,dc=example,dc=org is also that of uid=chain0001,ou=people,dc=example,dc=org, which keeps it.",
  );
  expect(details.at(-1)).toContain("is also that of uid=taken,ou=people,dc=example,dc=org, which keeps it.");
  expect(seconds).toBeLessThan(10);
}, 60_000);
