// The MFA policy in force: one row, which every process decides by, whatever its own configuration says.

import type { Database, Transaction } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";
import type { MfaPolicy } from "./policy.ts";

export interface PolicyInForce extends MfaPolicy {
  /** Of the configuration that it was made from. */
  digest: string;
  since: Date;
}

interface PolicyRow {
  digest: string;
  organization: boolean;
  directories: string[];
  group_keys: string[];
  new_users: boolean;
  initial_import: MfaPolicy["initialImport"];
  grace_ms: string;
  enrollment_pass: boolean;
  since: Date;
}

/** Undefined before the first start or run of all. */
export async function findPolicy(db: Database | Transaction): Promise<PolicyInForce | undefined> {
  return policyOf(await db<PolicyRow>("mfa_policy").first());
}

/** Keeps the policy as it is until the transaction ends. */
export async function lockPolicyForReading(trx: Transaction): Promise<PolicyInForce | undefined> {
  return policyOf(await trx<PolicyRow>("mfa_policy").forShare().first());
}

/** The same for a transaction that may replace the policy: one at a time. */
export async function lockPolicy(trx: Transaction): Promise<PolicyInForce | undefined> {
  return policyOf(await trx<PolicyRow>("mfa_policy").forUpdate().first());
}

function policyOf(row: PolicyRow | undefined): PolicyInForce | undefined {
  return (
    row && {
      digest: row.digest,
      organization: row.organization,
      directories: row.directories,
      groupKeys: row.group_keys,
      newUsers: row.new_users,
      initialImport: row.initial_import,
      graceMs: Number(row.grace_ms),
      enrollmentPass: row.enrollment_pass,
      since: row.since,
    }
  );
}

/** Puts a policy in force where there was none. False when another process was first. */
export async function insertPolicy(
  db: Database | Transaction,
  policy: MfaPolicy,
  digest: string,
): Promise<boolean> {
  const inserted = await db("mfa_policy")
    .insert(columnsOf(policy, digest))
    .onConflict("only_row")
    .ignore()
    .returning("digest");
  return inserted.length > 0;
}

/** Puts a policy in force in place of the one before. */
export async function replacePolicy(trx: Transaction, policy: MfaPolicy, digest: string): Promise<void> {
  await trx("mfa_policy").update({ ...columnsOf(policy, digest), since: trx.fn.now() });
}

function columnsOf(policy: MfaPolicy, digest: string) {
  return {
    digest,
    organization: policy.organization,
    directories: [...policy.directories],
    group_keys: [...policy.groupKeys],
    new_users: policy.newUsers,
    initial_import: policy.initialImport,
    grace_ms: policy.graceMs,
    enrollment_pass: policy.enrollmentPass,
  };
}

/**
 * Remembers the groups that the policy names, by their present name or DN, and forgets those that it names no more: only
 * a change of the policy does that, never a rename. Returns the ids of groups that are required now and were not.
 */
export async function rememberRequiredGroups(trx: Transaction): Promise<string[]> {
  const rows = await rawRows<{ id: string; begins: boolean }>(
    trx,
    `with found as (
       select g.id, g.required_as as before, array(
         select key from mfa_policy p cross join unnest(p.group_keys) as key
         where key = any(g.required_as) or key = 'name:' || g.name_key or key = 'dn:' || g.dn_key
         order by key
       ) as required_as
       from groups g
       where g.required_as <> '{}'
         or 'name:' || g.name_key in (select unnest(p.group_keys) from mfa_policy p)
         or 'dn:' || g.dn_key in (select unnest(p.group_keys) from mfa_policy p)
     )
     update groups g set required_as = found.required_as from found
     where g.id = found.id and found.required_as <> found.before
     returning g.id, found.before = '{}' as begins`,
  );
  return rows.filter(({ begins }) => begins).map(({ id }) => id);
}

/** Entries of the policy in force that name no group which any run has found. */
export async function listGroupsNotFound(db: Database | Transaction): Promise<string[]> {
  const rows = await rawRows<{ key: string }>(
    db,
    `select key from mfa_policy p cross join unnest(p.group_keys) as key
     where not exists (select from groups g where key = any(g.required_as)) order by key`,
  );
  return rows.map(({ key }) => key);
}
