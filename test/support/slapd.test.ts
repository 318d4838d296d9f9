// The private OpenLDAP that other tests stand on: it starts, restarts and is gone when it says so.

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type ConnectionOptions, connect } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { createCertificateAuthority } from "../../scripts/servers/certificates.ts";
import { generateLargeOrganization } from "../../scripts/servers/large-organization.ts";
import { generateOrganization, organizationOverlays } from "../../scripts/servers/organization.ts";
import { type Slapd, type SlapdOptions, startSlapd } from "../../scripts/servers/slapd.ts";

async function started(options: SlapdOptions = {}): Promise<Slapd> {
  const slapd = await startSlapd(options);
  onTestFinished(() => slapd.stop());
  return slapd;
}

const ada = `dn: uid=ada,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: ada
cn: Ada
sn: Lovelace
`;

test("a killed server comes back on its port with its data", async () => {
  const slapd = await started();
  await slapd.add(ada);
  await slapd.kill();
  await slapd.restart();
  expect((await slapd.search("(uid=ada)", ["sn"])).map((entry) => entry.attributes)).toEqual([
    { sn: ["Lovelace"] },
  ]);
});

test("a stopped server leaves neither process nor folder", async () => {
  const slapd = await started();
  const { pid } = slapd;
  await slapd.stop();
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  expect(existsSync(dirname(slapd.syncPasswordFile))).toBe(false);
});

test("a kept folder is found again with its data, passwords and port", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-kept-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const first = await started({ folder });
  await first.add(ada);
  await first.stop();
  const second = await started({ folder });
  expect({ url: second.url, password: second.adminPassword }).toEqual({
    url: first.url,
    password: first.adminPassword,
  });
  expect(await second.search("(uid=ada)", ["uid"])).toHaveLength(1);
});

test("a server that cannot start says why in slapd's own words", async () => {
  await expect(startSlapd({ databaseLines: ["nonsense here"] })).rejects.toThrow(
    "unknown directive <nonsense>",
  );
});

test("every entry of the awkward organization is accepted over LDAP", async () => {
  const { ldif, people } = generateOrganization();
  const slapd = await started({ ldif, overlays: ["memberof", ...organizationOverlays] });
  const ids = (await slapd.search("(objectClass=inetOrgPerson)", ["entryUUID"])).map(
    (entry) => entry.attributes.entryUUID?.[0],
  );
  expect(ids.sort()).toEqual(people.map((person) => person.entryUuid).sort());
});

test("the same seed makes the same organization, another seed another one", () => {
  expect(generateOrganization({ seed: 7 }).ldif).toBe(generateOrganization({ seed: 7 }).ldif);
  expect(generateOrganization({ seed: 8 }).ldif).not.toBe(generateOrganization({ seed: 7 }).ldif);
});

test("a large organization is loaded from its file, groups too", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-large-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "users.ldif");
  await generateLargeOrganization({ path, users: 2_000, groups: 4 });
  const slapd = await started({ ldifFile: path });
  expect(await slapd.search("(objectClass=inetOrgPerson)", ["uid"])).toHaveLength(2_000);
  const [group] = await slapd.search("(cn=group3)", ["member"]);
  expect(group?.attributes.member).toHaveLength(500);
});

test.each([
  ["127.0.0.1", {}, "authorized"],
  ["localhost", { servername: "localhost" }, "authorized"],
  ["another name", { servername: "ldap.example.org" }, "ERR_TLS_CERT_ALTNAME_INVALID"],
  ["no trusted CA", { ca: createCertificateAuthority("another").certPem }, "SELF_SIGNED_CERT_IN_CHAIN"],
])("the server's certificate, checked for %s", async (_, options, outcome) => {
  const slapd = await started({ tls: true });
  expect(await tlsOutcome({ port: slapd.ldapsPort, ca: slapd.caPem ?? "", ...options })).toBe(outcome);
});

test("an expired certificate is seen as expired", async () => {
  const authority = createCertificateAuthority();
  const server = authority.issue({
    names: ["127.0.0.1", "::1", "2001:db8::5"],
    notBefore: new Date("2020-01-01"),
    notAfter: new Date("2020-01-02"),
  });
  const slapd = await started({ tls: { ...server, caPem: authority.certPem } });
  expect(await tlsOutcome({ port: slapd.ldapsPort, ca: authority.certPem })).toBe("CERT_HAS_EXPIRED");
});

function tlsOutcome(options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", ...options }, () => {
      socket.destroy();
      resolve("authorized");
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
