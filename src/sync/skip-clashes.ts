// The entries of a listing that clash: with each other over a directory id, or over a name with each other or with a stored user
// (rule 3). They are skipped, and the plan is made of the rest.

import type { Transaction } from "../store/database.ts";
import { decideNameClashes } from "./decide-name-clashes.ts";
import {
  listContestedClaims,
  type MovedEntry,
  type RepeatedIds,
  skipIdClashes,
  skipNameClashes,
  unstageMoved,
  unstageSkippedMembers,
} from "./plan-clashes-table.ts";
import type { PlanRun } from "./plan-table.ts";
import { dropDuplicates } from "./staging-table.ts";

/**
 * Skips entries that share a directory id, but for one that has `moved` while it was listed and is one entry. Returns how many
 * of the users that staging noted as unchanged are skipped by it.
 */
export async function skipIds(
  trx: Transaction,
  run: PlanRun,
  { repeated, moved, readsGroups }: { repeated: RepeatedIds; moved: MovedEntry[]; readsGroups: boolean },
): Promise<number> {
  if (moved.length > 0) await unstageMoved(trx, run, moved);
  const skippedUnchanged =
    repeated.shared.length > 0 ? await skipIdClashes(trx, run, { of: "users", moved }) : 0;
  if (readsGroups) {
    await skipIdClashes(trx, run, { of: "groups", moved: [] });
    await unstageSkippedMembers(trx, run);
    await dropDuplicates(trx, run, "groups");
  }
  if (repeated.isAny) await dropDuplicates(trx, run, "users");
  return skippedUnchanged;
}

/** `distinct` tells that no two staged entries claim one name; see findDistinct. */
export async function skipNames(
  trx: Transaction,
  run: PlanRun,
  { distinct }: { distinct: boolean } = { distinct: false },
): Promise<void> {
  const losing = decideNameClashes(await listContestedClaims(trx, run, { distinct }));
  if (losing.length > 0) await skipNameClashes(trx, run, losing);
}
