// What the counters of a server tell an incremental run (rule 25), server by server.

import { expect, test } from "vitest";
import { changeMarkOf, deltaSince } from "../../src/directory/change-mark.ts";
import type { RootDse } from "../../src/directory/kinds.ts";

const server = { url: "ldap://389ds.example.org", identity: "389ds.example.org:389|suffix", state: null };

function markAt(...usns: string[]): string | null {
  const rootDse: Pick<RootDse, "lastUsns"> = {
    lastUsns: usns.map((usn, index) => ({ database: `db${index}`, usn })),
  };
  // Nothing else of the root DSE is looked at for this kind.
  return changeMarkOf("389ds", rootDse as RootDse, server);
}

test("389-ds is asked for what came after the last number of each database", () => {
  expect(markAt("-1")).toBe("entryusn db0=-1");
  const delta = deltaSince("entryusn db0=41", markAt("43"));
  expect(delta).toMatchObject({ hasMoved: true, from: { attribute: "entryusn", value: Buffer.from("42") } });
});

// Seen on 389-ds 2.3: the first entry of a database has the number -1, as 4294967295; after a restart new entries begin at 0.
test("a 389-ds server that counts on from its first entry's -1 tells nothing (rule 25)", () => {
  expect(markAt("4294967294")).not.toBeNull();
  expect(markAt("4294967295")).toBeNull();
  expect(markAt("12", "4294967297")).toBeNull();
  expect(deltaSince("entryusn db0=41", markAt("4294967295"))).toMatchObject({ doubt: { code: "mark-gone" } });
});
