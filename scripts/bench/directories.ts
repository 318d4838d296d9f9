// Imports one organization from each kind of directory server and prints the figures of docs/directories.md: first import,
// a run that finds nothing changed, and ldapsearch reading the same entries.
//
//   node scripts/bench/directories.ts --users 20000 --groups 2000

import { spawn } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import type { DirectoryConfig } from "../../src/config/config.ts";
import { createLog } from "../../src/log.ts";
import { openDatabase } from "../../src/store/database.ts";
import { migrateToLatest } from "../../src/store/migrate.ts";
import { startSync } from "../../src/sync/start-sync.ts";
import type { MfaPolicy } from "../../src/users/policy.ts";
import {
  type DirectoryUnderTest,
  startActiveDirectory,
  startOpenLdap,
  startThreeEightNine,
} from "../servers/directory-under-test.ts";
import { startPostgres } from "../servers/postgres.ts";

const { values } = parseArgs({
  options: {
    users: { type: "string", default: "20000" },
    groups: { type: "string", default: "2000" },
    only: { type: "string", default: "" },
  },
});
const users = Number(values.users);
const groups = Number(values.groups);
const membersAGroup = 20;
const mfaIsOptional: MfaPolicy = {
  organization: false,
  directories: [],
  groupKeys: [],
  newUsers: false,
  initialImport: "include",
  graceMs: 0,
  enrollmentPass: false,
};

const servers: [name: string, start: () => Promise<DirectoryUnderTest>][] = [
  ["OpenLDAP", startOpenLdap],
  ["389-ds", startThreeEightNine],
  ["Samba AD DC", startActiveDirectory],
];

console.log(`${users} users, ${groups} groups of ${membersAGroup} members`);
console.log("| server | ldapsearch | first import | nothing changed |\n| --- | --- | --- | --- |");
for (const [name, start] of servers) {
  if (values.only !== "" && values.only !== name) continue;
  const server = await start();
  try {
    const figures = await measure(server);
    console.log(`| ${name} | ${figures.map((figure) => `${figure.toFixed(1)} s`).join(" | ")} |`);
  } finally {
    await server.stop();
  }
}

async function measure(server: DirectoryUnderTest): Promise<number[]> {
  const unit = `ou=figures,${server.suffix}`;
  const bases = { users: `ou=staff,${unit}`, groups: `ou=teams,${unit}` };
  await load(server, unit, bases);
  const search = await seconds(() => readWithLdapsearch(server, bases));
  const directory = server.directoryFor(bases);
  directory.limits.pageSize = 1000; // the default
  const postgres = await startPostgres({ durable: true });
  try {
    return [search, ...(await importTwice(postgres.url, directory))];
  } finally {
    await postgres.stop();
  }
}

async function importTwice(url: string, directory: DirectoryConfig): Promise<number[]> {
  const log = createLog("silent");
  const { db, close } = await openDatabase({ kind: "postgres", url, poolSize: 4 }, { log, owner: true });
  const sync = async () => {
    const started = await startSync(
      { db, log, policy: mfaIsOptional, directories: [directory.name], holder: "bench" },
      {
        directory,
        trigger: "request",
        actor: { name: "bench", via: "cli" },
        dryRun: false,
        signal: new AbortController().signal,
      },
    );
    if (started.kind !== "started") throw new Error("another run is going on");
    const run = await started.finished;
    if (run.counts?.listed !== users) throw new Error(`the run ${run.status}: ${run.error?.message}`);
  };
  try {
    await migrateToLatest(db);
    return [await seconds(sync), await seconds(sync)];
  } finally {
    await close();
  }
}

async function load(
  server: DirectoryUnderTest,
  unit: string,
  bases: { users: string; groups: string },
): Promise<void> {
  const name = (number: number) => `user${number}`;
  const addMany = server.addMany ?? server.add;
  await server.add(
    [unit, bases.users, bases.groups].map((dn) => `dn: ${dn}\nobjectClass: organizationalUnit\n\n`).join(""),
  );
  let ldif = "";
  for (let number = 0; number < users; number += 1) {
    ldif += server.person(name(number), bases.users);
    if (number % 2_000 !== 1_999 && number !== users - 1) continue;
    await addMany(ldif);
    ldif = "";
  }
  for (let group = 0; group < groups; group += 1) {
    const members = Array.from({ length: membersAGroup }, (_, member) =>
      server.personDn(name((group * 7 + member * 13) % users), bases.users),
    );
    ldif += server.group(`team${group}`, bases.groups, [...new Set(members)]);
  }
  await addMany(ldif);
}

async function readWithLdapsearch(
  server: DirectoryUnderTest,
  bases: { users: string; groups: string },
): Promise<void> {
  const options = ["-x", "-LLL", "-H", server.url, "-D", server.syncDn, "-y", server.syncPasswordFile];
  const trust = server.caFile === undefined ? [] : ["-o", `TLS_CACERT=${server.caFile}`];
  for (const base of [bases.users, bases.groups]) {
    const search = ["-E", "pr=1000/noprompt", "-b", base, "(objectClass=*)"];
    const child = spawn("ldapsearch", [...options, ...trust, ...search], {
      env: { ...process.env, LDAPNOINIT: "1" },
      stdio: ["ignore", "ignore", "inherit"],
    });
    const [code] = await once(child, "close");
    if (code !== 0) throw new Error(`ldapsearch ended with ${code}`);
  }
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}
