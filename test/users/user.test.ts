// Whom a sign-in name means (rule 3).

import { expect, test } from "vitest";
import { chooseNamedUser, type NamedUser, type User } from "../../src/users/user.ts";
import { someUser } from "../support/some-user.ts";

const user = (id: string, facts: Partial<User> = {}): User =>
  someUser({ id, directoryId: id, username: id, dn: `uid=${id}`, ...facts });
const named = (match: NamedUser["match"], id: string, facts?: Partial<User>): NamedUser => ({
  match,
  user: user(id, facts),
});
const chosen = (...candidates: NamedUser[]) => {
  const match = chooseNamedUser(candidates);
  return match.kind === "user" ? match.user.id : match.kind;
};

test("a name that matches no one is unknown", () => {
  expect(chosen()).toBe("unknown");
});

test("a username comes before an alias, an alias before a removed user", () => {
  expect(chosen(named("removed", "old"), named("alias", "mailbox"), named("username", "ada"))).toBe("ada");
  expect(chosen(named("removed", "old"), named("alias", "mailbox"))).toBe("mailbox");
  expect(chosen(named("removed", "old"))).toBe("old");
});

test("an alias that two users share matches neither, not even a removed user of that name", () => {
  expect(chosen(named("alias", "ada"), named("alias", "ben"))).toBe("unknown");
  expect(chosen(named("alias", "ada"), named("alias", "ben"), named("removed", "old"))).toBe("unknown");
});

test("a username in two directories is ambiguous, and the directories are named", () => {
  const candidates = [
    named("username", "a", { directory: "west" }),
    named("username", "b", { directory: "east" }),
  ];
  expect(chooseNamedUser(candidates)).toEqual({ kind: "ambiguous", directories: ["east", "west"] });
});

test.each([
  ["username", "alias"],
  ["alias", "alias"],
] as const)("a name that is a %s in one directory and an %s in another is ambiguous", (east, west) => {
  const candidates = [
    named(east, "a", { directory: "east" }),
    named(west, "b", { directory: "west" }),
    named("removed", "old", { directory: "north" }),
  ];
  expect(chooseNamedUser(candidates)).toEqual({ kind: "ambiguous", directories: ["east", "west"] });
});

test("a name that only one directory knows as a live user's is that user's", () => {
  const ada = named("username", "ada", { directory: "east" });
  const shared = [named("alias", "b", { directory: "west" }), named("alias", "c", { directory: "west" })];
  const removed = named("removed", "old", { directory: "north" });
  expect(chosen(...shared, ada, removed)).toBe("ada");
  expect(chosen(named("alias", "b", { directory: "west" }), removed)).toBe("b");
  expect(chosen(...shared, removed)).toBe("unknown");
});

test("of several removed users the one removed last is meant", () => {
  const removedAt = (year: number) => ({ state: "removed", removedAt: new Date(Date.UTC(year, 0)) }) as const;
  expect(chosen(named("removed", "a", removedAt(2024)), named("removed", "b", removedAt(2026)))).toBe("b");
});
