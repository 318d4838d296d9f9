// A rename of a directory and a policy that comes into force at the same moment, in every order of their statements: neither
// fails by the other, and afterwards every user is asked for what the policy asks (rule 13).

import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { renameDirectory } from "../../src/sync/rename-directory.ts";
import { applyPolicy } from "../../src/users/apply-policy.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import { openGatedDatabase } from "../support/gated-database.ts";
import { eachTestInSyncWorld, optionalMfa, person, type SyncWorld } from "../support/sync-world.ts";

const people = ["anna", "ben", "carl"];
const team =
  "dn: cn=team,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: team\n" +
  "member: uid=anna,ou=people,dc=example,dc=org\n\n";
const actor = { name: "admin", via: "cli" } as const;

let world: SyncWorld;
eachTestInSyncWorld({ ldif: people.map((uid) => person(uid)).join("") + team }, async (fresh) => {
  world = fresh;
  await world.sync();
});

// Each comes into force in place of the one before: of the group and of all, each begun and ended.
const policies = [
  { ...optionalMfa, requireForGroups: ["team"] },
  optionalMfa,
  { ...optionalMfa, mode: "required" as const },
  optionalMfa,
].map((mfa) => mfaPolicyOf(mfa));

test.each(policies.map((_, index) => index))(
  "a rename stopped before any of its statements, from policy %i on",
  {
    timeout: 120_000,
  },
  async (firstPolicy) => {
    const { db } = world.database;
    const renaming = openGatedDatabase(world.database.config, `gated-${randomUUID()}`);
    const applying = openGatedDatabase(world.database.config, `gated-${randomUUID()}`);
    let isThrough = false;
    for (let statements = 1; !isThrough; statements++) {
      const names = ["example", "staff"];
      const [oldName = "", newName = ""] = statements % 2 === 1 ? names : names.toReversed();
      const policy = policies[(firstPolicy + statements) % policies.length] ?? mfaPolicyOf(optionalMfa);
      renaming.letThrough(statements);
      const renamed = renameDirectory(
        { db: renaming.db, holder: "test", directories: [newName] },
        { oldName, newName, actor },
      );
      await Promise.race([renaming.stopped(), renamed]);
      const applied = applyPolicy({ db: applying.db, policy, directories: [newName] }, actor);
      let isApplied = false;
      void applied.then(() => {
        isApplied = true;
      });
      while (!isApplied && !(await applying.waitsForLock(db))) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      isThrough = renaming.passed() < statements;
      renaming.open();
      const where = `after ${statements} statements`;
      await expect(Promise.all([renamed, applied]), where).resolves.toBeDefined();
      const users = await db("users").select("username", "directory", "required_since").orderBy("username");
      const isRequired = (uid: string) =>
        policy.organization || (policy.groupKeys.length > 0 && uid === "anna");
      expect(
        users.map((user) => [user.username, user.directory, user.required_since !== null]),
        where,
      ).toEqual(people.map((uid) => [uid, newName, isRequired(uid)]));
    }
    await renaming.close();
    await applying.close();
  },
);
