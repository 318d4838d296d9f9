// Completeness against a scripted server: whatever ends a listing early is an error, never a shorter list (rule 4).

import { afterEach, describe, expect, test } from "vitest";
import {
  directoryConfigForFake,
  entry,
  type FakeLdapServer,
  type FakeScript,
  fakeBase,
  message,
  noticeOfDisconnection,
  reference,
  result,
  scriptFor,
  startFakeLdapServer,
  tlv,
  userEntry,
  uuidOf,
} from "../../support/fake-ldap-server.ts";
import { collect, failureOf } from "../listing.ts";

let server: FakeLdapServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function listFrom(listing: FakeScript, overrides?: FakeScript) {
  server = await startFakeLdapServer(scriptFor(listing, overrides));
  return collect(directoryConfigForFake(server));
}

/** Answers page by page: each item is the answer to the request with that number. */
function pages(...answers: ((id: number) => Buffer[])[]): FakeScript {
  let page = 0;
  return ({ id }) => answers[page++]?.(id);
}

describe("paging", () => {
  test("the listing goes on after an empty page with a cookie", async () => {
    const { usernames, report } = await listFrom(
      pages(
        (id) => [userEntry(id, 1), result(id, 0, { cookie: "a" })],
        (id) => [result(id, 0, { cookie: "b" })],
        (id) => [userEntry(id, 2), result(id, 0, { cookie: "" })],
      ),
    );
    expect(usernames).toEqual(["user1", "user2"]);
    expect(report).toMatchObject({ entries: 2, skipped: 0 });
  });

  test("the server's cookie comes back to it unchanged, with a critical control", async () => {
    await listFrom(
      pages(
        (id) => [result(id, 0, { cookie: "c\u00e9\0\u00ff" })],
        (id) => [result(id, 0, { cookie: "" })],
      ),
    );
    const listing =
      server?.requests.filter(({ scope, operation }) => operation === "search" && scope === "sub") ?? [];
    expect(listing.map(({ cookie }) => cookie)).toEqual(["", "c\u00e9\0\u00ff"]);
    expect(listing.every(({ bytes }) => bytes.includes(tlv(0x01, Buffer.from([0xff]))))).toBe(true);
  });

  test("a last page without a paging control ends the listing", async () => {
    const { usernames } = await listFrom(pages((id) => [userEntry(id, 1), result(id, 0)]));
    expect(usernames).toEqual(["user1"]);
  });

  test.each([
    [3, "directory-time-limit"],
    [4, "directory-size-limit"],
    [9, "directory-referral"],
    [10, "directory-referral"],
    [11, "directory-admin-limit"],
    [12, "directory-paging-refused"],
    [18, "directory-filter-invalid"],
    [32, "directory-base-missing"],
    [50, "directory-access-denied"],
    [51, "directory-busy"],
    [52, "directory-busy"],
    [53, "directory-failed"],
    [80, "directory-failed"],
    [118, "directory-failed"],
    [4096, "directory-failed"],
  ])("result code %i on the first and on the last page rejects the listing as %s", async (code, expected) => {
    const first = await failureOf(listFrom(pages((id) => [userEntry(id, 1), result(id, code)])));
    await server?.stop();
    const last = await failureOf(
      listFrom(
        pages(
          (id) => [userEntry(id, 1), result(id, 0, { cookie: "a" })],
          (id) => [userEntry(id, 2), result(id, code, { diagnostic: "because" })],
        ),
      ),
    );
    expect([first.code, last.code]).toEqual([expected, expected]);
    expect(last.message).toContain("because");
    expect(last.remedy).not.toBe("");
  });

  test("a size limit tells which line lifts it", async () => {
    const failure = await failureOf(listFrom(pages((id) => [result(id, 4)])));
    expect(failure.remedy).toContain(
      'limits dn.exact="cn=reader,dc=fake" size=unlimited size.pr=unlimited size.prtotal=unlimited time=unlimited',
    );
  });

  test("forbidden paging is told apart from a limit", async () => {
    const forbidden = (id: number) => [result(id, 11, { diagnostic: "pagedResults control not allowed" })];
    expect((await failureOf(listFrom(pages(forbidden)))).code).toBe("directory-paging-refused");
  });

  test("a referral carries the servers it names", async () => {
    const failure = await failureOf(
      listFrom(pages((id) => [result(id, 10, { referrals: ["ldap://b/dc=fake"] })])),
    );
    expect(failure.fields).toMatchObject({ referrals: "ldap://b/dc=fake", resultCode: 10 });
  });

  test("references are noted and not followed", async () => {
    const { notes, usernames } = await listFrom(
      pages((id) => [reference(id, "ldap://other/ou=x"), userEntry(id, 1), result(id, 0, { cookie: "" })]),
    );
    expect(usernames).toEqual(["user1"]);
    expect(notes).toEqual([
      expect.objectContaining({ fields: { base: fakeBase, uris: "ldap://other/ou=x" } }),
    ]);
  });

  test("a server that goes on for ever with the same cookie is stopped by the listing's deadline or by its emptiness", async () => {
    const failure = await failureOf(listFrom(({ id }) => [result(id, 0, { cookie: "again" })]));
    expect(failure.code).toBe("directory-protocol-error");
  });

  test("a malformed paging control is a protocol error, not the end", async () => {
    const control = tlv(
      0x30,
      tlv(0x04, "1.2.840.113556.1.4.319"),
      tlv(0x04, Buffer.from([0x30, 0x05, 0x02, 0x01])),
    );
    const failure = await failureOf(
      listFrom(pages((id) => [userEntry(id, 1), result(id, 0, { controls: [control] })])),
    );
    expect(failure.code).toBe("directory-protocol-error");
  });
});

describe("the server underneath", () => {
  test("a connection that breaks between pages rejects the listing, and no other is opened", async () => {
    const failure = await failureOf(
      listFrom(({ id, cookie }, socket) => {
        if (cookie === "") return [userEntry(id, 1), result(id, 0, { cookie: "a" })];
        socket.destroy();
        return undefined;
      }),
    );
    expect(failure.code).toBe("directory-connection-lost");
    expect(server?.connections).toBe(1);
  });

  test("a notice of disconnection is kept as the reason", async () => {
    const failure = await failureOf(
      listFrom(({ id }, socket) => {
        socket.end(
          Buffer.concat([userEntry(id, 1), noticeOfDisconnection(52, "going down for maintenance")]),
        );
        return undefined;
      }),
    );
    expect(failure.code).toBe("directory-connection-lost");
    expect(failure.message).toContain("going down for maintenance");
  });

  test("a base that is another entry after the listing rejects it", async () => {
    let reads = 0;
    const overrides: FakeScript = ({ id, scope, base, operation }) => {
      if (operation !== "search" || scope !== "base" || base !== fakeBase) return undefined;
      reads += 1;
      return [entry(id, base, { entryUUID: [uuidOf(reads)] }), result(id, 0)];
    };
    const failure = await failureOf(
      listFrom(
        pages((id) => [result(id, 0, { cookie: "" })]),
        overrides,
      ),
    );
    expect(failure.code).toBe("directory-changed-during-listing");
  });

  test("a base that is hidden after the listing rejects it", async () => {
    let reads = 0;
    const overrides: FakeScript = ({ id, scope, base, operation }) => {
      if (operation !== "search" || scope !== "base" || base !== fakeBase) return undefined;
      reads += 1;
      return reads === 1 ? undefined : [result(id, 0)];
    };
    const failure = await failureOf(
      listFrom(
        pages((id) => [result(id, 0, { cookie: "" })]),
        overrides,
      ),
    );
    expect(failure.code).toBe("directory-base-missing");
  });

  test("another server behind the address after the listing rejects it", async () => {
    let reads = 0;
    const overrides: FakeScript = ({ id, scope, base, operation }) => {
      if (operation !== "search" || scope !== "base" || base !== "dc=fake") return undefined;
      reads += 1;
      return [entry(id, base, { entryUUID: [uuidOf(reads)] }), result(id, 0)];
    };
    const failure = await failureOf(
      listFrom(
        pages((id) => [result(id, 0, { cookie: "" })]),
        overrides,
      ),
    );
    expect(failure.code).toBe("directory-changed-during-listing");
  });

  test("every search is sent without limits and without following aliases", async () => {
    await listFrom(pages((id) => [result(id, 0, { cookie: "" })]));
    const searches = server?.requests.filter(({ operation }) => operation === "search") ?? [];
    // derefAliases 0, sizeLimit 0, timeLimit 0, typesOnly false
    const unlimited = Buffer.from([0x0a, 1, 0, 0x02, 1, 0, 0x02, 1, 0, 0x01, 1, 0]);
    expect(searches.length).toBeGreaterThan(0);
    expect(searches.every(({ bytes }) => bytes.includes(unlimited))).toBe(true);
  });
});

describe("Active Directory", () => {
  const ntds = "cn=NTDS Settings,cn=DC1,cn=Servers,dc=fake";
  const rootDse: FakeScript = ({ id, base, scope, operation }) => {
    if (operation !== "search" || scope !== "base") return undefined;
    if (base === "") {
      const supportedCapabilities = ["1.2.840.113556.1.4.800"];
      const highestCommittedUSN = ["90071992547409931"];
      const attributes = { supportedCapabilities, highestCommittedUSN, dsServiceName: [ntds] };
      return [entry(id, "", attributes), result(id, 0)];
    }
    if (base !== ntds) return undefined;
    return [
      entry(id, ntds, { invocationId: [Buffer.from("00112233445566778899aabbccddeeff", "hex")] }),
      result(id, 0),
    ];
  };

  test("users are read with objectGUID, userAccountControl and the server's invocation id", async () => {
    const objectGUID = [Buffer.from("117d63dfd6ea67479efa48ef5cbe1f1b", "hex")];
    const user = { objectGUID, sAMAccountName: ["Anna"], userAccountControl: ["514"] };
    const { report, directoryIds, disabled } = await listFrom(
      pages((id) => [entry(id, `cn=Anna,${fakeBase}`, user), result(id, 0, { cookie: "" })]),
      rootDse,
    );
    expect(directoryIds).toEqual(["df637d11-ead6-4767-9efa-48ef5cbe1f1b"]);
    expect(disabled).toEqual(["Anna"]);
    expect(report.server.identity).toBe(`ad:${ntds.toLowerCase()}|00112233445566778899aabbccddeeff`);
    expect(report.server.state).toBe("90071992547409931");
  });
});

test("pages that are smaller than asked for, as under Active Directory's MaxPageSize, are read to the last", async () => {
  const maxPageSize = 3;
  const { usernames } = await listFrom(({ id, cookie }) => {
    const from = Number(cookie);
    const page = Array.from({ length: maxPageSize }, (_, row) => userEntry(id, from + row));
    const next = from + maxPageSize;
    return [...page, result(id, 0, { cookie: next < 12 ? String(next) : "" })];
  });
  expect(usernames).toHaveLength(12);
});

describe("ranges", () => {
  const people = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => `uid=user${from + index},${fakeBase}`);

  async function listGroupFrom(ranges: FakeScript) {
    server = await startFakeLdapServer(
      scriptFor(
        ({ id, attributes }) => {
          if (!attributes.includes("member")) return [result(id, 0, { cookie: "" })];
          const group = {
            entryUUID: [uuidOf(9)],
            cn: ["staff"],
            member: [],
            "member;range=0-2": people(0, 2),
          };
          return [entry(id, `cn=staff,${fakeBase}`, group), result(id, 0, { cookie: "" })];
        },
        (request, socket) => (request.base.startsWith("cn=staff") ? ranges(request, socket) : undefined),
      ),
    );
    const groups = { bases: [fakeBase], filter: undefined, attributes: { id: undefined, name: undefined } };
    return collect(
      directoryConfigForFake(server, { groups: { ...groups, members: undefined, nested: true } }),
    );
  }

  test("members beyond the first range are read to the last", async () => {
    const { edges, groups } = await listGroupFrom(({ id, base, attributes: [asked = ""] }) => {
      const from = Number(/range=(\d+)-\*/.exec(asked)?.[1]);
      const [name, to] =
        from === 6 ? ["member;range=6-*", 7] : [`member;range=${from}-${from + 2}`, from + 2];
      return [entry(id, base, { [name]: people(from, to) }), result(id, 0)];
    });
    expect(groups).toEqual(["staff"]);
    expect(edges).toHaveLength(8);
    expect(new Set(edges)).toEqual(new Set(people(0, 7).map((dn) => `${uuidOf(9)} > dn:${dn}`)));
  });

  test("a range that is not the one asked for rejects the listing", async () => {
    const failure = await failureOf(
      listGroupFrom(({ id, base }) => [entry(id, base, { "member;range=0-2": people(0, 2) }), result(id, 0)]),
    );
    expect(failure.code).toBe("directory-protocol-error");
  });

  test("a range that has vanished rejects the listing", async () => {
    const failure = await failureOf(
      listGroupFrom(({ id, base, attributes: [asked = ""] }) => {
        const first = asked.includes("range=0-") ? { "member;range=0-2": people(0, 2) } : {};
        return [entry(id, base, first), result(id, 0)];
      }),
    );
    expect(failure.code).toBe("directory-changed-during-listing");
  });
});

test("an intermediate response within a search is passed over", async () => {
  const { usernames } = await listFrom(
    pages((id) => [
      userEntry(id, 1),
      message(id, tlv(0x79, tlv(0x80, "1.3.6.1.4.1.4203.1.9.1.4"), tlv(0x81, "x"))),
      userEntry(id, 2),
      result(id, 0, { cookie: "" }),
    ]),
  );
  expect(usernames).toEqual(["user1", "user2"]);
});
