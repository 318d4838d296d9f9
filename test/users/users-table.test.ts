// Users by name and by filter, page by page.

import { afterAll, beforeAll, expect, test } from "vitest";
import { usernameKeyOf } from "../../src/username.ts";
import { countUsers } from "../../src/users/user-filter-table.ts";
import { findUserByName, listUsers } from "../../src/users/users-table.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await insert("Ada", {
    displayName: "Ada Lovelace",
    email: "ada@example.org",
    aliases: ["ada@example.org"],
  });
  await insert("ben", { email: "office@example.org", aliases: ["office@example.org"], required: true });
  await insert("cleo", { email: "office@example.org", aliases: ["office@example.org"], state: "disabled" });
  await insert("ben", { directory: "west" });
  await insert("dora", { state: "removed" });
});
afterAll(() => database.close());

interface Facts {
  directory?: string;
  displayName?: string;
  email?: string;
  aliases?: string[];
  state?: string;
  required?: boolean;
}

async function insert(username: string, facts: Facts = {}): Promise<void> {
  const { db } = database;
  const now = db.fn.now();
  const [row] = await db("users")
    .insert({
      directory: facts.directory ?? "east",
      directory_id: username,
      username,
      username_key: usernameKeyOf(username),
      display_name: facts.displayName ?? null,
      email: facts.email ?? null,
      dn: username,
      dn_key: username,
      entry_hash: "",
      required_new_user: false,
      state: facts.state ?? "active",
      removed_at: facts.state === "removed" ? now : null,
      required_since: facts.required ? now : null,
      enrollment_deadline: facts.required ? now : null,
    })
    .returning("id");
  for (const alias of facts.aliases ?? []) {
    await db("user_aliases").insert({ alias_key: alias, user_id: row.id });
  }
}

async function whoIs(username: string, directory?: string): Promise<string> {
  const match = await findUserByName(database.db, { username, directory });
  return match.kind === "user"
    ? `${match.user.directory}/${match.user.username}/${match.user.state}`
    : match.kind;
}

test.each([
  ["ada", "east/Ada/active"],
  ["  ADA ", "east/Ada/active"],
  ["\uff41da", "east/Ada/active"],
  ["Ada@Example.org", "east/Ada/active"],
  ["office@example.org", "unknown"],
  ["ben", "ambiguous"],
  ["cleo", "east/cleo/disabled"],
  ["dora", "east/dora/removed"],
  ["nobody", "unknown"],
  ["", "unknown"],
  ["ada\u0000", "unknown"],
  ["ada' or '1'='1", "unknown"],
  ["%", "unknown"],
  ["x".repeat(5000), "unknown"],
])("the sign-in name %j is %s", async (name, who) => {
  expect(await whoIs(name)).toBe(who);
});

test("a name in two directories is found with the directory", async () => {
  expect(await whoIs("ben", "west")).toBe("west/ben/active");
  expect(await whoIs("ben", "north")).toBe("unknown");
});

const names = async (filter: Omit<Parameters<typeof listUsers>[1], "limit">) =>
  (await listUsers(database.db, { ...filter, limit: 10 })).map((user) => user.username);

test("users are listed by name and narrowed by every filter", async () => {
  expect(await names({})).toEqual(["Ada", "ben", "ben", "cleo", "dora"]);
  expect(await names({ search: "LOVE" })).toEqual(["Ada"]);
  expect(await names({ search: "office@" })).toEqual(["ben", "cleo"]);
  expect(await names({ search: "%" })).toEqual([]);
  expect(await names({ state: "disabled" })).toEqual(["cleo"]);
  expect(await names({ directory: "west" })).toEqual(["ben"]);
  expect(await names({ required: true })).toEqual(["ben"]);
  expect(await names({ enrolled: true })).toEqual([]);
  expect(await names({ enrolled: false, directory: "east" })).toEqual(["Ada", "ben", "cleo", "dora"]);
});

test("of a removed user nothing is required any more, unless removed users are asked for", async () => {
  const dora = () => database.db("users").where({ username: "dora" });
  await dora().update({ required_since: new Date(), enrollment_deadline: new Date() });
  expect(await names({ required: true })).toEqual(["ben"]);
  expect(await names({ required: true, state: "removed" })).toEqual(["dora"]);
  await dora().update({ required_since: null, enrollment_deadline: null });
});

test("those who are locked out now and those who must enroll before a time are found", async () => {
  const { db } = database;
  const [ada] = await listUsers(db, { search: "ada", limit: 1 });
  await db("lockouts").insert({
    user_id: ada?.id,
    method: "totp",
    locked_until: new Date(Date.now() + 60_000),
  });
  expect(await names({ locked: true })).toEqual(["Ada"]);
  expect(await names({ locked: false, directory: "east" })).toEqual(["ben", "cleo", "dora"]);
  await db("lockouts").update({ locked_until: new Date(Date.now() - 1) });
  expect(await names({ locked: true })).toEqual([]);

  const inAnHour = new Date(Date.now() + 3_600_000);
  expect(await names({ deadlineBefore: inAnHour })).toEqual(["ben"]);
  expect(await names({ deadlineBefore: new Date(Date.now() - 3_600_000) })).toEqual([]);
});

test("counts are those of the list, whatever the condition", async () => {
  const conditions = [
    {},
    { state: "disabled" },
    { directory: "east", required: true },
    { search: "office" },
  ] as const;
  for (const one of conditions) {
    const listed = await listUsers(database.db, { ...one, limit: 100 });
    const counted = await countUsers(database.db, one);
    expect(counted.users).toBe(listed.length);
    expect(counted.states.active).toBe(listed.filter(({ state }) => state === "active").length);
    const required = listed.filter((user) => user.state === "active" && user.requiredSince !== null);
    expect(counted.active).toMatchObject({
      required: required.length,
      mustEnroll: required.length,
      mayDefer: 0,
    });
  }
});

test("pages follow each other without a gap or a repeat, equal names included", async () => {
  const seen: string[] = [];
  let after: { usernameKey: string; id: string } | undefined;
  for (;;) {
    const [user] = await listUsers(database.db, { limit: 1, after });
    if (!user) break;
    seen.push(`${user.directory}/${user.username}`);
    after = { usernameKey: usernameKeyOf(user.username), id: user.id };
  }
  expect(seen.toSorted()).toEqual(["east/Ada", "east/ben", "east/cleo", "east/dora", "west/ben"]);
});
