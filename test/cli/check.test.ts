// `dirmfa check`: everything that is wrong is told before the daemon meets it.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCertificateAuthority } from "../../scripts/servers/certificates.ts";
import { type Slapd, type SlapdOptions, startSlapd } from "../../scripts/servers/slapd.ts";
import { runCommand } from "../support/command.ts";
import { createInstallation } from "../support/installation.ts";
import { openSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

let world: SyncWorld;
beforeAll(async () => {
  world = await openSyncWorld({
    ldif: people(8) + person("user0001", { rdn: "cn=twin", cn: "twin" }),
    tls: true,
  });
});
afterAll(() => world.stop());

interface Checked {
  code: number;
  stdout: string;
}

/** What `dirmfa check` says of the world's directory with some keys changed. */
async function check(directory: Record<string, unknown>, slapd: Slapd = world.slapd): Promise<Checked> {
  const installation = await createInstallation({ slapd, database: world.database.config, directory });
  try {
    const passwordFile = join(installation.folder, "wrong.password");
    await writeFile(passwordFile, "fb1c-not-it", { mode: 0o600 });
    await runCommand("--config", installation.configPath, "key", "generate");
    return await runCommand("--config", installation.configPath, "check");
  } finally {
    await installation.remove();
  }
}

async function withSlapd(options: SlapdOptions, directory: (slapd: Slapd) => Record<string, unknown>) {
  const slapd = await startSlapd({ ldif: people(30), ...options });
  try {
    return await check(directory(slapd), slapd);
  } finally {
    await slapd.stop();
  }
}

test("a good configuration is told with its server, its counts and mapped entries", async () => {
  const { code, stdout } = await check({ urls: [world.slapd.ldapsUrl], tls: { caFile: world.slapd.caFile } });
  expect(stdout).toMatch(/^ok +.*dirmfa\.yaml is valid$/m);
  expect(stdout).toMatch(/^ok +database: postgres, schema current$/m);
  expect(stdout).toMatch(/^ok +audit\.headFolder: \/.*, no end noted yet$/m);
  expect(stdout).toMatch(/^ok +ldaps:\/\/127\.0\.0\.1:\d+: openldap, TLSv1\.\d, bound in \d+ ms$/m);
  expect(stdout).toMatch(/^ok +complete listing: 9 users \(0 disabled\), 0 groups, 0 entries skipped/m);
  expect(stdout).toMatch(/^user0000 +user0000 +user0000@example\.org +active/m);
  expect(code).toBe(0);
});

test.each([
  ["a wrong host", { urls: ["ldaps://no-such-host.invalid"] }, "directory-name-not-resolved"],
  ["a wrong port", { urls: ["ldap://127.0.0.1:1"] }, "directory-unreachable"],
  ["a wrong base", { users: { bases: ["ou=nowhere,dc=example,dc=org"] } }, "directory-base-missing"],
])("%s is a named problem with what to do", async (_, directory, code) => {
  const result = await check(directory);
  expect(result.code).not.toBe(0);
  expect(result.stdout + JSON.stringify(result)).toContain(code);
});

test("a group that no run has found is warned of, and so is a policy that is another configuration's", async () => {
  const installation = await createInstallation({
    slapd: world.slapd,
    database: world.database.config,
    config: { mfa: { requireForGroups: ["vpm"] } },
    directory: { groups: { bases: ["ou=groups,dc=example,dc=org"] } },
  });
  const dirmfa = (...args: string[]) => runCommand("--config", installation.configPath, ...args);
  await dirmfa("sync"); // the first run puts the policy in force
  expect((await dirmfa("check")).stdout).toMatch(
    /warning +mfa: no run has found the group vpm of mfa\.requireForGroups/,
  );
  const text = await readFile(installation.configPath, "utf8");
  await writeFile(installation.configPath, text.replace("vpm", "vpn"));
  expect((await dirmfa("check")).stdout).toMatch(
    /warning +mfa: another configuration's policy is in force since 2/,
  );
  await installation.remove();
});

test("a filter that is none is told with file, line and column, and no server is asked", async () => {
  const users = { bases: ["ou=people,dc=example,dc=org"], filter: "(&(objectClass=person)(uid))" };
  const installation = await createInstallation({ slapd: world.slapd, directory: { users } });
  const { code, stdout, stderr } = await runCommand("--config", installation.configPath, "check");
  await installation.remove();
  expect(stderr).toMatch(
    /^.*dirmfa\.yaml:\d+:15: directories\[0\]\.users\.filter: found "\(&\(objectClass=person\)\(uid\)\)", wanted an LDAP filter.* at its character 27, /m,
  );
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("a wrong password is told without the password", async () => {
  const installation = await createInstallation({
    slapd: world.slapd,
    database: world.database.config,
    directory: { bind: { dn: world.slapd.syncDn, passwordFile: "wrong.password" } },
  });
  await writeFile(join(installation.folder, "wrong.password"), "fb1c-not-it", { mode: 0o600 });
  const { code, stdout, stderr } = await runCommand("--config", installation.configPath, "check");
  await installation.remove();
  expect(stdout).toContain("directory-bind-refused");
  expect(stdout + stderr).not.toContain("fb1c-not-it");
  expect(code).toBe(1);
});

test("an untrusted certificate, an expired one and one for another name are three problems", async () => {
  const authority = createCertificateAuthority();
  const untrusted = await check({ urls: [world.slapd.ldapsUrl] });
  expect(untrusted.stdout).toContain("directory-tls-untrusted");
  const expired = authority.issue({
    names: ["127.0.0.1"],
    notBefore: new Date("2020-01-01"),
    notAfter: new Date("2021-01-01"),
  });
  const ldaps = (slapd: Slapd) => ({ urls: [slapd.ldapsUrl], tls: { caFile: slapd.caFile } });
  const late = await withSlapd({ tls: { caPem: authority.certPem, ...expired } }, ldaps);
  expect(late.stdout).toContain("directory-tls-expired");
  const elsewhere = authority.issue({ names: ["ldap.example.com"] });
  const misnamed = await withSlapd({ tls: { caPem: authority.certPem, ...elsewhere } }, ldaps);
  expect(misnamed.stdout).toContain("directory-tls-wrong-name");
  for (const { code } of [untrusted, late, misnamed]) expect(code).toBe(1);
});

test("a page limit of the server is told with the line that lifts it", async () => {
  const limits = [`dn.exact="cn=dirmfa,ou=services,dc=example,dc=org" size.prtotal=20`];
  const { code, stdout } = await withSlapd({ limits }, () => ({ limits: { pageSize: 10 } }));
  expect(stdout).toContain("directory-size-limit");
  expect(stdout).toContain("size.prtotal=unlimited");
  expect(code).toBe(1);
});

test("what will hurt is warned of: plaintext, an empty base, one name twice", async () => {
  const { stdout } = await check({});
  expect(stdout).toMatch(/warning +ldap:\/\/127\.0\.0\.1:\d+ is used unencrypted/);
  expect(stdout).toMatch(/warning .*user0001/);
  const empty = await check({ users: { bases: ["ou=services,dc=example,dc=org"] } });
  expect(empty.stdout).toMatch(/warning +no user was found below the base/);
});

test("a database that is not there, or has no tables, is told", async () => {
  const installation = await createInstallation({
    slapd: world.slapd,
    database: { kind: "postgres", url: "postgres://dirmfa@127.0.0.1:1/dirmfa", poolSize: 2 },
  });
  const { code, stdout } = await runCommand("--config", installation.configPath, "check");
  await installation.remove();
  expect(stdout).toMatch(/failed +database: .*\(database-unavailable\)/);
  expect(code).toBe(1);
});
