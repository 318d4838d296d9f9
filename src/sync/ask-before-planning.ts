// What the directory is asked again before its plan is made: who would be removed, and who was listed twice.

import { mostAskedAgain } from "../directory/ask-again.ts";
import { dnKeyOf } from "../ldap-text/dn.ts";
import type { Transaction } from "../store/database.ts";
import type { MovedEntry } from "./plan-clashes-table.ts";
import { type PlanRun, takeBackRemovals } from "./plan-table.ts";

// Entries move one by one; more ids that are listed twice are clashes, which need no question.
export const mostSharedAsked = 200;

/** What to ask the directory for again, by directory ids. */
export interface Question {
  /** Undefined when too many are to be removed to ask for each. */
  removals: string[] | undefined;
  /** Ids that the listing names more than once. */
  shared: string[];
}

/** What the directory has said when it was asked again. */
export interface Answer {
  /** Of those to be removed: who is gone (undefined where that was not asked), and how many are there. */
  gone: string[] | undefined;
  found: number;
  /** Where those are that were listed more than once, and are one entry. */
  moved: MovedEntry[];
}

/** Undefined when there is nothing to ask; otherwise the planned removals are taken back, and the plan is empty again. */
export async function findQuestion(
  trx: Transaction,
  run: PlanRun,
  { removals, shared }: { removals: number; shared: string[] },
): Promise<Question | undefined> {
  const asksForRemovals = removals <= mostAskedAgain;
  const asksForShared = shared.length <= mostSharedAsked;
  if (!(asksForRemovals && removals > 0) && !(asksForShared && shared.length > 0)) return undefined;
  const ids = await takeBackRemovals(trx, run);
  return { removals: asksForRemovals ? ids : undefined, shared: asksForShared ? shared : [] };
}

/** `askAgain` gives the DNs of the entries that the directory has now, by directory id. */
export async function askDirectory(
  { removals, shared }: Question,
  askAgain: (ids: string[]) => Promise<ReadonlyMap<string, string[]>>,
): Promise<Answer> {
  const there = await askAgain([...(removals ?? []), ...shared]);
  return {
    gone: removals?.filter((id) => !there.has(id)),
    found: removals?.filter((id) => there.has(id)).length ?? 0,
    moved: shared.flatMap((id) => movedTo(id, there.get(id))),
  };
}

/** Several DNs are several entries: only one entry can have moved. */
function movedTo(directoryId: string, dns: string[] | undefined): MovedEntry[] {
  const [dn, ...more] = dns ?? [];
  if (dn === undefined || more.length > 0) return [];
  return [{ directoryId, dnKey: dnKeyOf(dn) ?? dn }];
}
