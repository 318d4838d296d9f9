// Who moves from one base to another while the directory is listed is in neither part of the listing: not removed (rule 4), and in no
// group less (rule 27).

import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { decodeId, encodeId } from "../../src/directory/kinds.ts";
import { decideRequirement } from "../../src/users/policy.ts";
import { deletions, eachTestInSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

const sub = "dn: ou=sub,dc=example,dc=org\nobjectClass: organizationalUnit\nou: sub\n\n";
const mover = person("mover", { ou: "ou=sub" });
const stayer = person("stayer", { ou: "ou=sub" });

let world: SyncWorld;
// The server lists in the order in which entries were made: those of the second base first.
eachTestInSyncWorld({ ldif: sub + mover + stayer + people(60) }, (fresh) => {
  world = fresh;
});
beforeEach(async () => {
  world.directory.users.bases = ["ou=people,dc=example,dc=org", "ou=sub,dc=example,dc=org"];
  world.directory.limits.pageSize = 10;
  expect((await world.sync()).counts).toMatchObject({ added: 62 });
});

/** A run during which `act` happens when the first pages of the first base have been read and no more. */
async function syncMeanwhile(act: () => Promise<unknown>) {
  const blocker = await world.database.db.transaction();
  await blocker.raw("lock table users in access exclusive mode");
  const started = await world.start();
  if (started.kind !== "started") throw new Error("not started");
  for (;;) {
    const { rows } = await blocker.raw(
      "select from pg_locks where relation = 'users'::regclass and not granted",
    );
    if (rows.length > 0) break;
  }
  await act();
  await blocker.rollback();
  return started.finished;
}

test("a user who moves to a base that is listed already is asked for once more, and stays", async () => {
  const run = await syncMeanwhile(() =>
    world.slapd.modify(
      "dn: uid=mover,ou=sub,dc=example,dc=org\nchangetype: modrdn\nnewrdn: uid=mover\ndeleteoldrdn: 0\n" +
        `newsuperior: ou=people,dc=example,dc=org\n\n${deletions(["user0059"])}`,
    ),
  );
  expect(run).toMatchObject({ status: "succeeded", counts: { listed: 60, removed: 1 } });
  expect(run.notes).toMatchObject([{ code: "moved-during-listing" }]);
  expect(await world.user("mover")).toMatchObject({ state: "active" });
  expect(await world.user("user0059")).toMatchObject({ state: "removed" });
  expect(await world.sync()).toMatchObject({ counts: { listed: 61, changed: 1, removed: 0 }, notes: [] });
});

test("the value that is asked for is the one that was read, whatever the kind of id", () => {
  const text = (value: Buffer) => value.toString();
  for (const attribute of ["objectguid", "guid"]) {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const decoded = decodeId(attribute, Buffer.from(bytes), text);
        expect("id" in decoded && encodeId(attribute, decoded.id)).toEqual(Buffer.from(bytes));
      }),
    );
  }
  expect(encodeId("entryuuid", "0b1c")).toEqual(Buffer.from("0b1c"));
});

describe("a required group that lists the new place (rule 27)", () => {
  const groupDn = "cn=vpn,ou=groups,dc=example,dc=org";
  const moved = "uid=mover,ou=people,dc=example,dc=org";
  const move =
    "dn: uid=mover,ou=sub,dc=example,dc=org\nchangetype: modrdn\nnewrdn: uid=mover\ndeleteoldrdn: 0\n" +
    "newsuperior: ou=people,dc=example,dc=org\n\n";
  const listed = (dn: string) =>
    world.slapd.modify(`dn: ${groupDn}\nchangetype: modify\nreplace: member\nmember: ${dn}\n\n`);
  const deletionOf = (dn: string) => `dn: ${dn}\nchangetype: delete\n\n`;
  const isRequired = async () => decideRequirement(await world.user("mover")).required;

  beforeEach(async () => {
    world.mfa.requireForGroups = ["vpn"];
    const member = "uid=mover,ou=sub,dc=example,dc=org";
    await world.slapd.add(`dn: ${groupDn}\nobjectClass: groupOfNames\ncn: vpn\nmember: ${member}\n\n`);
    await world.sync();
    expect(await isRequired()).toBe(true);
  });

  test("ends no requirement of who moves there while the directory is listed", async () => {
    const run = await syncMeanwhile(async () => {
      await world.slapd.modify(move);
      await listed(moved);
    });
    expect(run.notes).toMatchObject([{ code: "moved-during-listing" }]);
    expect(await isRequired()).toBe(true);
    await world.sync();
    expect(await isRequired()).toBe(true);
  });

  test("ends no requirement of who is missing from fewer listings than a removal wants", async () => {
    world.directory.limits.confirmRemovals = 3;
    await world.slapd.modify(move);
    const { filter } = world.directory.users;
    world.directory.users.filter = "(&(objectClass=inetOrgPerson)(!(uid=mover)))";
    await listed(moved);
    expect(await world.sync()).toMatchObject({ status: "succeeded", counts: { removed: 0 } });
    expect(await isRequired()).toBe(true);

    // Out of the group while missing: that ends when the user is back, though no group has changed since.
    await listed("uid=stayer,ou=sub,dc=example,dc=org");
    await world.sync();
    expect(await isRequired()).toBe(true);
    world.directory.users.filter = filter;
    await world.sync();
    expect(await isRequired()).toBe(false);
  });

  test("ends no requirement of who moved and has become unusable, before it can be used again", async () => {
    const nameless = "cn=mover,ou=people,dc=example,dc=org";
    await world.slapd.modify(
      move.replace("newrdn: uid=mover\ndeleteoldrdn: 0", "newrdn: cn=mover\ndeleteoldrdn: 1"),
    );
    await listed(nameless);
    expect((await world.sync()).counts).toMatchObject({ skipped: 1, removed: 0 });
    expect(await isRequired()).toBe(true);
    await world.slapd.modify(`dn: ${nameless}\nchangetype: modify\nadd: uid\nuid: mover\n\n`);
    await world.sync();
    expect(await isRequired()).toBe(true);
    await listed("uid=stayer,ou=sub,dc=example,dc=org");
    await world.sync();
    expect(await isRequired()).toBe(false);
  });

  test("which is gone ends the requirement of who became unusable there too, in the plan and as an event", async () => {
    await world.slapd.modify(
      move.replace("newrdn: uid=mover\ndeleteoldrdn: 0", "newrdn: cn=mover\ndeleteoldrdn: 1"),
    );
    await world.slapd.modify(deletionOf(groupDn));
    const held = await world.sync();
    expect(held.holdReasons.map(({ code }) => code)).toEqual(["required-group-lost", "group-listing-empty"]);
    const planned = await world.changes(held);
    expect(planned.map(({ username, reasons }) => [username, reasons])).toEqual([
      ["mover", ["groups-changed", "requirement-ended"]],
    ]);
    await world.sync({ trigger: "approval", approves: held });
    expect(await isRequired()).toBe(false);
    expect(await world.database.db("audit_events").where({ action: "requirement-end" })).toHaveLength(1);
    expect(await world.database.db("users").whereNotNull("required_since")).toEqual([]);
  });
});
