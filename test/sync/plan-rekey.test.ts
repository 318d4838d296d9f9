// Who gets which id when the entries of a directory came back under others, and who does not because it is not plain (rule 1).

import { describe, expect, test } from "vitest";
import { type ListedEntry, planRekey, type StoredUser } from "../../src/sync/plan-rekey.ts";

const user = (name: string, more: Partial<StoredUser> = {}): StoredUser => ({
  userId: `user-${name}`,
  directoryId: `old-${name}`,
  username: name,
  usernameKey: name,
  email: `${name}@example.org`,
  removed: false,
  ...more,
});
const entry = (name: string, more: Partial<ListedEntry> = {}): ListedEntry => ({
  directoryId: `new-${name}`,
  dn: `uid=${name}`,
  dnKey: `uid=${name}`,
  usernameKey: name,
  email: `${name}@example.org`,
  value: null,
  ...more,
});
const byUsername = { by: "username" } as const;
const byMail = { by: "mail" } as const;
const pairs = (plan: ReturnType<typeof planRekey>) =>
  plan.rekeyed.map(({ oldId, newId }) => `${oldId} ${newId}`);

describe("the plan", () => {
  test("is by username, by mail, or by an attribute that holds the old id", () => {
    const listed = [entry("a", { usernameKey: "x", value: "{OLD-A}", email: "A@example.org" })];
    expect(pairs(planRekey(byUsername, [user("a")], listed, []))).toEqual([]);
    expect(pairs(planRekey(byMail, [user("a")], listed, []))).toEqual(["old-a new-a"]);
    const rule = { by: "attribute", attribute: "employeeNumber" } as const;
    expect(pairs(planRekey(rule, [user("a")], listed, []))).toEqual(["old-a new-a"]);
  });

  test.each([
    ["two users have one address", [user("a"), user("b", { email: "a@example.org" })], [entry("a")]],
    ["two entries have one address", [user("a")], [entry("a"), entry("b", { email: "a@example.org" })]],
    [
      "the new id is a removed user's",
      [user("a"), user("gone", { directoryId: "new-a", removed: true })],
      [entry("a")],
    ],
    [
      "one of two with an address is still listed",
      [user("a"), user("b", { email: "a@example.org", directoryId: "new-b" })],
      [entry("a"), entry("b", { email: null })],
    ],
  ])("leaves everyone as they are where %s", (_, stored, listed) => {
    const plan = planRekey(byMail, stored, listed, []);
    expect(plan.rekeyed).toEqual([]);
    expect(plan.ambiguous).toHaveLength(1);
  });

  test("touches nobody whose id is still listed, be it by an entry that cannot be used, and no removed user", () => {
    expect(planRekey(byUsername, [user("a")], [entry("a")], ["old-a"]).rekeyed).toEqual([]);
    expect(planRekey(byUsername, [user("a", { removed: true })], [entry("a")], []).rekeyed).toEqual([]);
  });

  test("takes an entry below two bases once, and two entries with one id not at all", () => {
    expect(planRekey(byUsername, [user("a")], [entry("a"), entry("a")], []).rekeyed).toHaveLength(1);
    const twice = [entry("a"), entry("a", { dnKey: "uid=b" })];
    expect(planRekey(byUsername, [user("a")], twice, [])).toMatchObject({ rekeyed: [], unmatched: 1 });
  });
});
