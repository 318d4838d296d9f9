// A policy comes into force when a daemon with that configuration starts. From then on every process decides by it: a replica
// that was not started again, or a command with another file, neither ends a requirement, nor renews a grace, nor enrolls without a pass.

import { createHash } from "node:crypto";
import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Database } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { prepareBulkWork } from "../store/settings-table.ts";
import type { MfaPolicy } from "./policy.ts";
import {
  findPolicy,
  insertPolicy,
  lockPolicy,
  rememberRequiredGroups,
  replacePolicy,
} from "./policy-table.ts";
import { refreshRequirements } from "./requirements-table.ts";

export interface PolicyDeps {
  db: Database;
  policy: MfaPolicy;
  /** Names of the configured directories: users of others keep what they have, since nobody has decided about them. */
  directories: readonly string[];
}

/**
 * Puts the policy in force, and begins and ends requirements by it (rule 13). An audit event for the change, and one for each
 * user whose requirement ends. Nothing happens when it is in force already.
 */
export async function applyPolicy(
  { db, policy, directories }: PolicyDeps,
  actor: Actor,
): Promise<{ began: number; ended: number }> {
  const digest = digestOfPolicy(policy, directories);
  if ((await findPolicy(db))?.digest === digest) return { began: 0, ended: 0 };
  return inTransaction(db, async (trx) => {
    await prepareBulkWork(trx);
    await insertPolicy(trx, policy, "");
    const before = await lockPolicy(trx);
    if (before?.digest === digest) return { began: 0, ended: 0 };
    await replacePolicy(trx, policy, digest);
    await rememberRequiredGroups(trx);
    const scope = { condition: "u.directory = any(:directories::text[])", bindings: { directories } };
    const refreshed = await refreshRequirements(trx, scope, { actor, cause: { by: "policy-change" } });
    const { organization, groupKeys, newUsers, initialImport, graceMs, enrollmentPass } = policy;
    const requires = { organization, directories: policy.directories, groups: groupKeys, newUsers };
    await recordAuditEvent(trx, {
      actor,
      action: "policy-change",
      outcome: "done",
      details: { ...refreshed, ...requires, initialImport, graceMs, enrollmentPass },
    });
    return refreshed;
  });
}

/** For a store that no daemon has started on yet: a run there needs a policy, and takes its own. */
export async function applyFirstPolicy(deps: PolicyDeps, actor: Actor): Promise<void> {
  if ((await findPolicy(deps.db)) === undefined) await applyPolicy(deps, actor);
}

/** Since when another configuration's policy than this one is in force; undefined when it is this one, or none is. */
export async function findOtherPolicy(deps: PolicyDeps): Promise<{ since: Date } | undefined> {
  const policy = await findPolicy(deps.db);
  return policy && policy.digest !== digestOfPolicy(deps.policy, deps.directories) ? policy : undefined;
}

function digestOfPolicy(policy: MfaPolicy, directories: readonly string[]): string {
  const facts = [
    policy.organization,
    [...policy.directories].sort(),
    [...policy.groupKeys].sort(),
    policy.newUsers,
    policy.initialImport,
    policy.graceMs,
    policy.enrollmentPass,
    [...directories].sort(),
  ];
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex");
}
