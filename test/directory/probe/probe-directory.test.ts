// What `dirmfa check` is told about a directory: each server on its own, what a run would do, and what will hurt.

import { afterAll, beforeAll, expect, test } from "vitest";
import { createCertificateAuthority } from "../../../scripts/servers/certificates.ts";
import { generateOrganization, organizationOverlays } from "../../../scripts/servers/organization.ts";
import { directoryConfigFor, type Slapd, startSlapd } from "../../../scripts/servers/slapd.ts";
import type { DirectoryConfig } from "../../../src/config/config.ts";
import { probeDirectory } from "../../../src/directory/probe/probe-directory.ts";
import {
  directoryConfigForFake,
  entry,
  fakeBase,
  result,
  scriptFor,
  startFakeLdapServer,
  userEntry,
  uuidOf,
} from "../../support/fake-ldap-server.ts";
import { startFaultProxy } from "../../support/fault-proxy.ts";

const organization = generateOrganization();
let slapd: Slapd;

beforeAll(async () => {
  const authority = createCertificateAuthority();
  const soon = new Date(Date.now() + 10 * 86_400_000);
  const tls = { caPem: authority.certPem, ...authority.issue({ names: ["127.0.0.1"], notAfter: soon }) };
  slapd = await startSlapd({ ldif: organization.ldif, overlays: organizationOverlays, tls });
});
afterAll(() => slapd?.stop());

function probe(overrides: Partial<DirectoryConfig>) {
  const options = { signal: new AbortController().signal, now: new Date() };
  return probeDirectory(directoryConfigFor(slapd, overrides), options);
}

test("every server is tried, and the first that answers is listed", async () => {
  const urls = ["ldap://127.0.0.1:1", slapd.ldapsUrl, slapd.url];
  const { servers, listing } = await probe({ urls, kind: undefined });
  expect(servers.map(({ url }) => url)).toEqual(urls);
  expect(servers[0]?.outcome).toMatchObject({ reached: false, failure: { code: "directory-unreachable" } });
  expect(servers[1]?.outcome).toMatchObject({
    reached: true,
    server: { kind: "openldap", detectedKind: "openldap", pages: true, tls: { protocol: "TLSv1.3" } },
  });
  expect(servers[2]?.outcome).toMatchObject({ reached: true, server: { tls: undefined } });
  const people = organization.people.length;
  expect(listing).toMatchObject({
    url: slapd.ldapsUrl,
    failure: undefined,
    entries: people - 1,
    skipped: 1,
    disabled: 3,
  });
  expect(listing?.samples).toHaveLength(5);
  expect(listing?.skippedByReason).toEqual({ "no-username": 1 });
});

test("a server that takes seconds for the first page is said to search without an index", async () => {
  const proxy = await startFaultProxy(slapd.port);
  proxy.faults = [{ kind: "delay", afterBytes: 3_000, ms: 3_200 }]; // behind the root DSE, in the middle of the first page
  const { warnings } = await probe({ urls: [proxy.url] });
  await proxy.close();
  expect(warnings).toContainEqual({
    message: expect.stringMatching(/first page took [\d.]+ s: .* without an index/),
    remedy: expect.stringContaining("Index the attributes in users.filter"),
  });
});

test("what will hurt is said with what to do", async () => {
  const { warnings } = await probe({ urls: [slapd.url, slapd.ldapsUrl] });
  const said = warnings.map(({ message }) => message).join("\n");
  expect(said).toContain("used unencrypted");
  expect(said).toContain("is valid until");
  expect(said).toContain("1 entries have no username");
  expect(said).toMatch(/username that another of them has too \(.*hall.*\)/i);
  expect(warnings.every(({ remedy }) => remedy !== "")).toBe(true);
});

test("overlapping, empty and missing bases are told apart", async () => {
  const { users } = directoryConfigFor(slapd);
  const bases = [
    `ou=people,${slapd.suffix}`,
    `ou=Sales,ou=people,${slapd.suffix}`,
    `ou=services,${slapd.suffix}`,
  ];
  const said = (await probe({ users: { ...users, bases } })).warnings
    .map(({ message }) => message)
    .join("\n");
  expect(said).toContain("listed more than once");
  expect(said).toContain(`no user was found below the base "ou=services,${slapd.suffix}"`);
  const missing = await probe({ users: { ...users, bases: ["ou=nowhere,dc=example,dc=org"] } });
  expect(missing.servers[0]?.outcome).toMatchObject({
    reached: false,
    failure: { code: "directory-base-missing" },
  });
  expect(missing.listing).toBeUndefined();
});

test("members that name no user, a wrong kind and an anonymous bind are warned of", async () => {
  const { groups } = directoryConfigFor(slapd);
  const wrongKind = await probe({ kind: "389ds" });
  const noMembers = await probe({ groups: groups && { ...groups, members: ["cn"] } });
  const said = [...wrongKind.warnings, ...noMembers.warnings].map(({ message }) => message).join("\n");
  expect(said).toContain("looks like openldap");
  expect(said).toContain("show no directory id");
  expect(said).toContain("is a listed user");
  expect((await probe({ bind: undefined })).warnings[0]?.message).toContain("anonymous");
});

test("a size limit is the listing's failure, with the counts up to it", async () => {
  const limited = await startSlapd({
    ldif: organization.ldif,
    overlays: organizationOverlays,
    limits: [`dn.exact="${slapd.syncDn}" size=50`],
  });
  try {
    const config = directoryConfigFor(limited);
    const { listing } = await probeDirectory(
      { ...config, limits: { ...config.limits, pageSize: 20 } },
      { signal: new AbortController().signal, now: new Date() },
    );
    expect(listing?.failure).toMatchObject({
      code: "directory-size-limit",
      remedy: expect.stringContaining("prtotal"),
    });
    expect((listing?.entries ?? 0) + (listing?.skipped ?? 0)).toBe(40);
  } finally {
    await limited.stop();
  }
});

test("servers that hold different directories are warned of, and one without paging", async () => {
  const serve = (number: number) =>
    startFakeLdapServer(
      scriptFor(
        ({ id }) => [userEntry(id, 1), result(id, 0, { cookie: "" })],
        ({ id, base, scope, operation }) => {
          if (operation !== "search" || scope !== "base") return undefined;
          if (base === "") return [entry(id, "", { supportedControl: ["1.2.3"] }), result(id, 0)];
          return base === fakeBase
            ? [entry(id, base, { entryUUID: [uuidOf(number)] }), result(id, 0)]
            : undefined;
        },
      ),
    );
  const servers = await Promise.all([serve(1), serve(2)]);
  try {
    const config = directoryConfigForFake({ url: "" }, { urls: servers.map(({ url }) => url) });
    const { warnings } = await probeDirectory(config, {
      signal: new AbortController().signal,
      now: new Date(),
    });
    const said = warnings.map(({ message }) => message).join("\n");
    expect(said).toContain("hold different directories");
    expect(said).toContain("does not offer paged results");
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
});
