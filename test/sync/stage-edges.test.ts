// What a changed group lists, compared with what it is stored as listing, stretch after stretch of the order of its members' keys: only
// the edges that come and go are staged, however many members it has (rule 28).

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { memberKeysInOrder } from "../../src/directory/map-group.ts";
import { type MemberStretch, stageEdges } from "../../src/sync/staging-table.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database?.close());

let groupId: string;
beforeEach(async () => {
  groupId = randomUUID();
  const of = { id: groupId, directory: "example", directory_id: groupId, entry_hash: "" };
  await database
    .db("groups")
    .insert({ ...of, name: "staff", name_key: "staff", dn: "cn=staff", dn_key: "cn=staff" });
});

/** Stages what the group lists in stretches of `size` keys, and returns what was staged: +key for what comes, -key for what goes. */
async function staged(stored: string[], listed: string[], size: number): Promise<string[]> {
  const { db } = database;
  await db("group_members").where({ group_id: groupId }).delete();
  for (const member_key of stored) await db("group_members").insert({ group_id: groupId, member_key });
  const run = { id: randomUUID(), directory: "example" };
  const keys = memberKeysInOrder(listed);
  let count = 0;
  for (let from = 0; from === 0 || from < keys.length; from += size) {
    const isLast = from + size >= keys.length;
    const stretch = { memberKeys: keys.slice(from, from + size), after: keys[from - 1] ?? null, isLast };
    count += await stageEdges(db, run, [{ groupDirectoryId: groupId, ...stretch }]);
  }
  const rows = await db("staged_group_members").where({ run_id: run.id });
  expect(rows.map(({ group_directory_id }) => group_directory_id)).toEqual(rows.map(() => groupId));
  expect(count).toBe(rows.length);
  return rows.map(({ member_key, joins }) => `${joins ? "+" : "-"}${member_key}`).sort();
}

const letters = [..."abcdefgh"].map((letter) => `dn:uid=${letter}`);
const without = (...gone: string[]) => letters.filter((key) => !gone.includes(key.slice(-1)));

test.each([1, 2, 3, 100])("what comes and goes is found at each place, in stretches of %i", async (size) => {
  expect(await staged(letters, letters, size)).toEqual([]);
  for (const letter of "abcdefgh") {
    expect(await staged(letters, without(letter), size)).toEqual([`-dn:uid=${letter}`]);
    expect(await staged(without(letter), letters, size)).toEqual([`+dn:uid=${letter}`]);
  }
  expect(await staged(without("a", "d", "h"), without("b", "c", "g"), size)).toEqual(
    ["+dn:uid=a", "+dn:uid=d", "+dn:uid=h", "-dn:uid=b", "-dn:uid=c", "-dn:uid=g"].sort(),
  );
  expect(await staged([], letters, size)).toEqual(letters.map((key) => `+${key}`));
  expect(await staged(letters, [], size)).toEqual(letters.map((key) => `-${key}`));
});

test("the order is the database's, for names outside of the first plane of Unicode too", async () => {
  // By UTF-16 the second name would come before the third one, by UTF-8 it comes behind it.
  const names = ["dn:cn=a", "dn:cn=\u{1f511}", "dn:cn=\uf8ff", "dn:cn=\u{20000}", "rid:513", "uid:é"];
  const { rows } = await database.db.raw<{ rows: { key: string }[] }>(
    `select key from unnest(:names::text[]) as key order by key collate "C"`,
    { names },
  );
  expect(memberKeysInOrder(names)).toEqual(rows.map(({ key }) => key));
  for (const size of [1, 2]) {
    expect(await staged(names, names, size)).toEqual([]);
    for (const gone of names)
      expect(
        await staged(
          names,
          names.filter((name) => name !== gone),
          size,
        ),
      ).toEqual([`-${gone}`]);
  }
});

test("a group that is not stored has all its edges come, beside one that loses its own", async () => {
  const { db } = database;
  await db("group_members").insert({ group_id: groupId, member_key: "uid:anna" });
  const run = { id: randomUUID(), directory: "example" };
  const whole = { after: null, isLast: true };
  const stretches: MemberStretch[] = [
    { groupDirectoryId: "new", memberKeys: ["uid:anna", "uid:ben"], ...whole },
    { groupDirectoryId: groupId, memberKeys: [], ...whole },
  ];
  expect(await stageEdges(db, run, stretches)).toBe(3);
  const rows = await db("staged_group_members").where({ run_id: run.id }).orderBy(["joins", "member_key"]);
  expect(
    rows.map(({ group_directory_id, member_key, joins }) => [group_directory_id, member_key, joins]),
  ).toEqual([
    [groupId, "uid:anna", false],
    ["new", "uid:anna", true],
    ["new", "uid:ben", true],
  ]);
});
