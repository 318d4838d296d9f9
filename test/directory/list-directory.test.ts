// Listings of a real OpenLDAP server, through the thread that production uses.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { generateOrganization, organizationOverlays } from "../../scripts/servers/organization.ts";
import { directoryConfigFor, type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import { usualLimits } from "../../scripts/servers/usual-limits.ts";
import type { DirectoryConfig } from "../../src/config/config.ts";
import { fromFirstServer } from "../../src/directory/failover.ts";
import { listDirectory } from "../../src/directory/list-directory.ts";
import type { ListingPage } from "../../src/directory/listing-page.ts";
import { valuesOf } from "../../src/directory/packed-columns.ts";
import { createLog } from "../../src/log.ts";
import { usernameKeyOf } from "../../src/username.ts";
import { scriptFor, startFakeLdapServer } from "../support/fake-ldap-server.ts";
import { collect, failureOf, rowsOf } from "./listing.ts";

const organization = generateOrganization();
let slapd: Slapd;

beforeAll(async () => {
  slapd = await startSlapd({ ldif: organization.ldif, overlays: [...organizationOverlays, "syncprov"] });
});
afterAll(() => slapd?.stop());

async function list(overrides: Partial<DirectoryConfig> = {}, server = slapd) {
  const log = createLog("silent");
  const { signal } = new AbortController();
  return fromFirstServer(directoryConfigFor(server, overrides), async (first) => {
    const pages: ListingPage[] = [];
    const onPage = async (page: ListingPage) => void pages.push(page);
    const report = await listDirectory(first, { signal, log, onPage });
    return { report, pages, ...rowsOf(pages) };
  });
}

const limits = {
  ...usualLimits,
  confirmRemovals: 1,
  pageSize: 7,
  messageBytes: 1024 * 1024,
};

describe("an organization", () => {
  test("is listed completely, in pages of the configured size", async () => {
    const { report, pages, directoryIds, skipped } = await list({ limits });
    const usable = organization.people.filter(({ uid }) => uid !== undefined);
    expect(new Set(directoryIds)).toEqual(new Set(usable.map(({ entryUuid }) => entryUuid)));
    expect(skipped).toEqual([expect.objectContaining({ reason: "no-username", usernameKey: null })]);
    expect(report).toMatchObject({ entries: usable.length, skipped: 1, groups: organization.groups.length });
    const sizes = pages.map((page) =>
      page.kind === "entries" ? page.entries.rows + page.skipped.length : 0,
    );
    expect(Math.max(...sizes)).toBe(7);
  });

  test("comes with the same digests in every listing, whatever the page size", async () => {
    const hashesOf = (pages: ListingPage[]) =>
      pages
        .flatMap((page) =>
          page.kind === "entries" ? valuesOf(page.entries, "hashes") : valuesOf(page.groups, "hashes"),
        )
        .sort();
    const [one, other] = [await list({ limits }), await list()];
    expect(hashesOf(other.pages)).toEqual(hashesOf(one.pages));
  });

  test("has its locked people disabled, and no one else", async () => {
    const { disabled } = await list();
    const locked = organization.people.filter((person) => person.locked);
    expect(disabled.sort()).toEqual(locked.map(({ uid }) => uid).sort());
  });

  test("has groups whose members join with users and groups in every spelling", async () => {
    const { pages, edges, groups } = await list();
    expect(groups.sort()).toEqual(organization.groups.map(({ cn }) => cn).sort());
    const targets = new Set(
      pages.flatMap((page) =>
        page.kind === "entries"
          ? [
              ...valuesOf(page.entries, "dnKeys").map((key) => `dn:${key}`),
              ...valuesOf(page.entries, "usernameKeys").map((key) => `uid:${key}`),
            ]
          : valuesOf(page.groups, "dnKeys").map((key) => `dn:${key}`),
      ),
    );
    const unknown = edges
      .map((edge) => edge.split(" > ")[1] ?? "")
      .filter((key) => !targets.has(key) && key !== "gid:5000"); // a posixGroup's own number
    const nameless = organization.people.filter(({ uid }) => uid === undefined).length;
    // One group lists someone who is gone; people without a username are listed as members, and are no users.
    expect(unknown.filter((key) => key.startsWith("dn:uid=gone,"))).toHaveLength(1);
    expect(new Set(unknown.filter((key) => !key.includes("uid=gone"))).size).toBeLessThanOrEqual(nameless);
  });

  test("keeps usernames that differ in case only as two rows with one key", async () => {
    const { usernames } = await list();
    expect(usernames.filter((name) => usernameKeyOf(name) === "rhall").sort()).toEqual(["RHall", "rhall"]);
  });

  test("is identified by its server, with the state of its copy", async () => {
    const { report } = await list({ kind: undefined });
    expect(report.server.url).toBe(slapd.url);
    expect(report.server.identity).toMatch(/^openldap:ldap:.*\|entryUUID=[0-9a-f-]{36}$/);
    expect(report.server.state).toMatch(/^\d{14}\.\d{6}Z#/);
  });

  test("with two bases, one within the other, hands the inner one over twice", async () => {
    const all = await list();
    const { usernames } = await list({
      users: {
        ...directoryConfigFor(slapd).users,
        bases: [`ou=people,${slapd.suffix}`, `OU=Sales, ou=People,${slapd.suffix}`],
      },
    });
    const inSales = organization.people.filter(({ department }) => department === "Sales").length;
    expect(usernames).toHaveLength(all.usernames.length + inSales);
  });

  test("that has no user for the filter is an empty, complete listing", async () => {
    const users = { ...directoryConfigFor(slapd).users, filter: "(uid=nobody)" };
    expect((await list({ users })).report).toMatchObject({ entries: 0, skipped: 0 });
  });
});

describe("what a listing is refused for", () => {
  test.each<[string, (config: DirectoryConfig) => Partial<DirectoryConfig>, string]>([
    [
      "a wrong password",
      ({ bind }) => ({ bind: { dn: bind?.dn ?? "", passwordSecret: "wrong" } }),
      "directory-bind-refused",
    ],
    [
      "an unknown bind DN",
      () => ({ bind: { dn: "cn=nobody,dc=example,dc=org", passwordSecret: "x" } }),
      "directory-bind-refused",
    ],
    [
      "a bind DN that is none",
      () => ({ bind: { dn: "nobody", passwordSecret: "x" } }),
      "directory-bind-refused",
    ],
    [
      "an empty password",
      ({ bind }) => ({ bind: { dn: bind?.dn ?? "", passwordSecret: "" } }),
      "invalid-config",
    ],
    ["an empty bind DN", () => ({ bind: { dn: " ", passwordSecret: "x" } }), "invalid-config"],
    [
      "a base that is not there",
      ({ users }) => ({ users: { ...users, bases: ["ou=nowhere,dc=example,dc=org"] } }),
      "directory-base-missing",
    ],
    [
      "a base that is no DN",
      ({ users }) => ({ users: { ...users, bases: ["nowhere"] } }),
      "directory-base-missing",
    ],
    [
      "a second base that is not there",
      ({ users }) => ({ users: { ...users, bases: [...users.bases, "ou=nowhere,dc=example,dc=org"] } }),
      "directory-base-missing",
    ],
    [
      "a group base that is not there",
      ({ groups }) => ({ groups: groups && { ...groups, bases: ["ou=nowhere,dc=example,dc=org"] } }),
      "directory-base-missing",
    ],
    ["an anonymous bind that may not see the base", () => ({ bind: undefined }), "directory-access-denied"],
    [
      "a filter that is none",
      ({ users }) => ({ users: { ...users, filter: "(uid=" } }),
      "directory-filter-invalid",
    ],
    ["a port without a server", () => ({ urls: ["ldap://127.0.0.1:1"] }), "directory-unreachable"],
    [
      "a name that does not resolve",
      () => ({ urls: ["ldap://no-such-host.invalid"] }),
      "directory-name-not-resolved",
    ],
    ["no URL of an LDAP server", () => ({ urls: ["https://127.0.0.1"] }), "invalid-config"],
    [
      "StartTLS with a server that has none",
      ({ tls }) => ({ tls: { ...tls, startTls: true } }),
      "directory-tls-failed",
    ],
    [
      "ldaps:// on the plain port",
      () => ({ urls: [slapd.url.replace("ldap:", "ldaps:")] }),
      "directory-tls-failed",
    ],
  ])("%s", async (_name, change, code) => {
    const failure = await failureOf(collect(directoryConfigFor(slapd, change(directoryConfigFor(slapd)))));
    expect(failure.code.startsWith(code), `${failure.code}: ${failure.message}`).toBe(true);
    expect(failure.remedy ?? "").not.toBe("");
    expect(JSON.stringify({ ...failure, message: failure.message })).not.toContain(slapd.syncPassword);
  });

  test("a base that the bind DN may not read, with all that is below", async () => {
    const { suffix, syncDn } = slapd;
    const access = [
      "to attrs=userPassword by anonymous auth by * none",
      `to dn.subtree="ou=people,${suffix}" by * none`,
      `to * by dn.exact="${syncDn}" read by anonymous auth by * none`,
    ];
    const hiding = await startSlapd({ access });
    try {
      const failure = await failureOf(collect(directoryConfigFor(hiding)));
      expect(failure.code).toBe("directory-base-missing");
    } finally {
      await hiding.stop();
    }
  });

  test("an aborted listing ends at once, between pages and within one", async () => {
    const stop = new AbortController();
    const listing = listDirectory(directoryConfigFor(slapd, { limits }), {
      signal: stop.signal,
      log: createLog("silent"),
      onPage: async () => stop.abort(),
    });
    expect((await failureOf(listing)).code).toBe("aborted");
  });
});

describe("servers in order", () => {
  test("one that cannot be reached is passed over, and the report names the one that answered", async () => {
    const { report } = await list({ urls: ["ldap://127.0.0.1:1", slapd.url] });
    expect(report.server.url).toBe(slapd.url);
  });

  test("one that refuses the bind is not passed over", async () => {
    const strict = await startSlapd({});
    try {
      const failure = await failureOf(list({ urls: [strict.url, slapd.url] }));
      expect(failure.code).toBe("directory-bind-refused");
    } finally {
      await strict.stop();
    }
  });

  test("one that breaks in the middle is left for the next, and what that one answers counts", async () => {
    const broken = await startFakeLdapServer(
      scriptFor((_request, socket) => {
        socket.destroy();
        return undefined;
      }),
    );
    try {
      const failure = await failureOf(
        list({
          kind: "generic",
          urls: [broken.url, slapd.url],
          users: { ...directoryConfigFor(slapd).users, bases: ["ou=people,dc=fake"] },
          groups: undefined,
        }),
      );
      expect(failure.code).toBe("directory-base-missing");
    } finally {
      await broken.stop();
    }
  });

  test("when none answers, each is named", async () => {
    const failure = await failureOf(list({ urls: ["ldap://127.0.0.1:1", "ldap://127.0.0.1:2"] }));
    expect(failure.message).toContain("127.0.0.1:1");
    expect(failure.message).toContain("127.0.0.1:2");
  });
});

describe("limits of a server", () => {
  const syncDn = "cn=dirmfa,ou=services,dc=example,dc=org";
  test.each([
    ["a size limit for all pages together", `dn.exact="${syncDn}" size.prtotal=50`, "directory-size-limit"],
    ["the default size limit", `dn.exact="${syncDn}" size=50`, "directory-size-limit"],
    ["forbidden paging", `dn.exact="${syncDn}" size.prtotal=disabled`, "directory-paging-refused"],
    [
      "a page limit below the page size",
      `dn.exact="${syncDn}" size=unlimited size.pr=5`,
      "directory-paging-refused",
    ],
  ])("%s rejects the listing and names the cure", async (_name, line, code) => {
    const limited = await startSlapd({
      ldif: organization.ldif,
      overlays: organizationOverlays,
      limits: [line],
    });
    try {
      const failure = await failureOf(list({}, limited));
      expect(failure.code, failure.message).toBe(code);
      expect(failure.remedy).toContain("size.pr");
    } finally {
      await limited.stop();
    }
  });
});

test("a server that is killed in the middle rejects the listing", async () => {
  const killed = await startSlapd({ ldif: organization.ldif, overlays: organizationOverlays });
  try {
    const listing = listDirectory(directoryConfigFor(killed, { limits }), {
      signal: new AbortController().signal,
      log: createLog("silent"),
      onPage: () => killed.kill(),
    });
    expect((await failureOf(listing)).code).toBe("directory-connection-lost");
  } finally {
    await killed.stop();
  }
});

test("a renamed person keeps the id, and one who is created anew under the old name gets another", async () => {
  const moving = await startSlapd({});
  const anna = `uid=anna,ou=people,${moving.suffix}`;
  const attributes = "objectClass: inetOrgPerson\nsn: A\ncn: Anna\n";
  try {
    await moving.add(`dn: ${anna}\n${attributes}uid: anna\n`);
    const before = await list({}, moving);
    await moving.modify(`dn: ${anna}\nchangetype: modrdn\nnewrdn: uid=hannah\ndeleteoldrdn: 1\n`);
    await moving.add(`dn: ${anna}\n${attributes}uid: anna\n`);
    const after = await list({}, moving);
    const idOf = (listing: typeof after, name: string) =>
      listing.directoryIds[listing.usernames.indexOf(name)];
    expect(idOf(after, "hannah")).toBe(idOf(before, "anna"));
    expect(idOf(after, "anna")).not.toBe(idOf(before, "anna"));
  } finally {
    await moving.stop();
  }
});
