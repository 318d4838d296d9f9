// Who must use MFA and why, and until when that may be deferred (rules 11, 12 and 13).

import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { prepareBulkWork } from "../../src/store/settings-table.ts";
import { applyPolicy } from "../../src/users/apply-policy.ts";
import { decideRequirement, groupKeyOf, mayDefer, mfaPolicyOf } from "../../src/users/policy.ts";
import { setRequiredByAdmin } from "../../src/users/require-mfa.ts";
import { refreshRequirements } from "../../src/users/requirements-table.ts";
import { findUser, listUsers } from "../../src/users/users-table.ts";
import { emptyTables, openTestDatabase, type TestDatabase } from "../support/databases.ts";
import { optionalMfa } from "../support/sync-world.ts";

const finance = { name: "Finance", nameKey: "finance", dnKey: "cn=finance,dc=example", required: true };
const sales = { name: "Sales", nameKey: "sales", dnKey: "cn=sales,dc=example", required: false };
const nobody = {
  policyRequires: { organization: false, directory: false, enrollmentPass: false },
  groups: [],
  requiredNewUser: false,
  requiredByAdmin: null,
  enrollmentDeadline: null,
};
const requiredBy = (facts: Partial<Parameters<typeof decideRequirement>[0]>) =>
  decideRequirement({ ...nobody, ...facts }).requiredBy;

test("every reason that holds is named", () => {
  const policyRequires = { organization: true, directory: true, enrollmentPass: false };
  const facts = { policyRequires, groups: [finance, sales], requiredNewUser: true, requiredByAdmin: true };
  expect(requiredBy(facts)).toEqual([
    "required-by-organization",
    "required-by-directory",
    "required-by-group:Finance",
    "required-new-user",
    "required-by-admin",
  ]);
});

test("nothing is required of a user whom no rule names", () => {
  expect(requiredBy({ groups: [sales] })).toEqual([]);
});

test.each([
  ["FINANCE", "name:finance"],
  [" finance ", "name:finance"],
  ["CN=Finance, DC=Example", "dn:cn=finance,dc=example"],
])("a group is compared as %j", (written, key) => {
  expect(groupKeyOf(written)).toBe(key);
});

test("an admin's no ends the new-user flag, and outweighs nothing else", () => {
  expect(requiredBy({ requiredNewUser: true, requiredByAdmin: false })).toEqual([]);
  const policyRequires = { organization: true, directory: false, enrollmentPass: false };
  expect(requiredBy({ requiredByAdmin: false, policyRequires })).toEqual(["required-by-organization"]);
});

test("deferring ends at the deadline, to the millisecond", () => {
  const enrollmentDeadline = new Date("2026-02-01T00:00:00.000Z");
  const requirement = decideRequirement({ ...nobody, requiredByAdmin: true, enrollmentDeadline });
  expect(mayDefer(requirement, new Date("2026-01-31T23:59:59.999Z"))).toBe(true);
  expect(mayDefer(requirement, enrollmentDeadline)).toBe(false);
});

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

const actor = { name: "test", via: "daemon" } as const;
const someUser = fc.record({
  directory: fc.constantFrom("east", "west"),
  requiredNewUser: fc.boolean(),
  requiredByAdmin: fc.constantFrom(null, true, false),
  groups: fc.subarray(["finance", "sales"]),
});
const someMfa = fc.record({
  mode: fc.constantFrom("optional" as const, "optional" as const, "required" as const),
  requireForDirectories: fc.subarray(["east", "west"]),
  requireForGroups: fc.subarray(["Finance", "cn=sales"]),
});

test("the statement that stores requirements agrees with the pure decision, for any users and policy", async () => {
  const { db } = database;
  await fc.assert(
    fc.asyncProperty(fc.array(someUser, { minLength: 1, maxLength: 6 }), someMfa, async (users, mfa) => {
      await emptyTables(database);
      const groupIds: Record<string, string> = {};
      for (const name of ["finance", "sales"]) {
        const [group] = await db("groups")
          .insert({
            directory: "east",
            directory_id: name,
            name,
            name_key: name,
            dn: `cn=${name}`,
            dn_key: `cn=${name}`,
            entry_hash: "",
          })
          .returning("id");
        groupIds[name] = group.id;
      }
      for (const [index, facts] of users.entries()) {
        const id = await insertUser(`user${index}`, facts);
        for (const name of facts.groups)
          await db("user_groups").insert({ user_id: id, group_id: groupIds[name] });
      }
      const policy = mfaPolicyOf({ ...optionalMfa, ...mfa, enrollmentGraceMs: 60_000 });
      const directories = ["east", "west"];
      await applyPolicy({ db, policy, directories }, actor);
      for (const user of await listUsers(db, { limit: 10 })) {
        const { groups } = users[Number(user.username.slice("user".length))] ?? { groups: [] };
        const named = (group: string) => policy.groupKeys.some((key) => key.endsWith(group));
        expect(user.policyRequires).toEqual({
          organization: policy.organization,
          directory: policy.directories.includes(user.directory),
          enrollmentPass: policy.enrollmentPass,
        });
        expect(user.groups.map(({ required }) => required)).toEqual(groups.map(named));
        expect(user.requiredSince !== null, user.username).toBe(decideRequirement(user).required);
      }
      // A second look finds nothing to write.
      const everybody = { condition: "true", bindings: {} };
      const again = await db.transaction(async (trx) => {
        await prepareBulkWork(trx);
        return refreshRequirements(trx, everybody, null);
      });
      expect(again).toEqual({ began: 0, ended: 0 });
    }),
    { numRuns: 25 },
  );
});

async function insertUser(
  username: string,
  facts: { directory?: string; requiredNewUser?: boolean; requiredByAdmin?: boolean | null } = {},
): Promise<string> {
  const [row] = await database
    .db("users")
    .insert({
      directory: facts.directory ?? "example",
      directory_id: username,
      username,
      username_key: username,
      dn: `uid=${username}`,
      dn_key: `uid=${username}`,
      state: "active",
      entry_hash: "",
      required_new_user: facts.requiredNewUser ?? false,
      required_by_admin: facts.requiredByAdmin ?? null,
    })
    .returning("id");
  return row.id;
}

test("an admin's decision begins a requirement with its deadline and is an audit event; taking it back ends it", async () => {
  const { db } = database;
  const userId = await insertUser("decided");
  const policy = mfaPolicyOf({ ...optionalMfa, enrollmentGraceMs: 3_600_000 });
  await applyPolicy({ db, policy, directories: ["example"] }, { name: "dirmfa", via: "daemon" });
  const deps = { db };
  const actor = { name: "jane", via: "api" } as const;
  expect(await setRequiredByAdmin(deps, { userId, required: true, actor })).toBe(true);
  const required = await findUser(db, userId);
  expect((required?.enrollmentDeadline?.getTime() ?? 0) - (required?.requiredSince?.getTime() ?? 0)).toBe(
    3_600_000,
  );
  await setRequiredByAdmin(deps, { userId, required: true, actor });
  expect((await findUser(db, userId))?.enrollmentDeadline).toEqual(required?.enrollmentDeadline);
  await setRequiredByAdmin(deps, { userId, required: false, actor });
  expect(await findUser(db, userId)).toMatchObject({ requiredByAdmin: false, requiredSince: null });
  const events = await db("audit_events").where({ user_id: userId }).orderBy("id");
  expect(events.map(({ actor, action, directory }) => [actor, action, directory])).toEqual([
    ["jane", "mfa-require", "example"],
    ["jane", "mfa-require", "example"],
    ["jane", "mfa-unrequire", "example"],
  ]);
});

test("a decision about a user who is not there changes nothing and leaves no event", async () => {
  const { db } = database;
  const before = await db("audit_events").count();
  const deps = { db };
  const unknown = "00000000-0000-4000-8000-000000000000";
  const actor = { name: "jane", via: "api" } as const;
  expect(await setRequiredByAdmin(deps, { userId: unknown, required: true, actor })).toBe(false);
  expect(await db("audit_events").count()).toEqual(before);
});
