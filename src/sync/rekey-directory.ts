// Gives known users the ids that their entries have now, after a directory was restored or moved: the way out of a run that is
// held because known names came back under new ids. A plan first; applied is exactly the plan whose digest an admin approves.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { DirectoryConfig } from "../config/config.ts";
import { fromFirstServer } from "../directory/failover.ts";
import { listDirectory } from "../directory/list-directory.ts";
import type { EntryColumns } from "../directory/listing-page.ts";
import { type Packed, unpackColumns } from "../directory/packed-columns.ts";
import { AppError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import { getDirectoryMemory } from "./directories-table.ts";
import { holdDirectories } from "./hold-directory.ts";
import { forgetMarks } from "./marks-table.ts";
import { type ListedEntry, planRekey, type RekeyPlan, type RekeyRule } from "./plan-rekey.ts";
import { listRekeyCandidates, rekeyUsers } from "./rekey-table.ts";

export interface RekeyInput {
  directory: DirectoryConfig;
  rule: RekeyRule;
  /** The digest of the plan to apply; undefined for the plan alone. */
  approve: string | undefined;
  actor: Actor;
  signal: AbortSignal;
}

export type RekeyAnswer =
  | { outcome: "planned"; plan: RekeyPlan }
  | { outcome: "applied"; plan: RekeyPlan }
  /** The directory or the store has changed since the plan that was approved: look at this one. */
  | { outcome: "plan-differs"; plan: RekeyPlan };

/**
 * Takes a complete listing (rule 4), plans by the rule and, with the plan's digest, applies it in the same transaction. Changes
 * nothing but the ids.
 */
export async function rekeyDirectory(
  deps: { db: Database; log: Log; holder: string },
  input: RekeyInput,
): Promise<RekeyAnswer> {
  const { directory, rule, approve, actor } = input;
  const { entries, skippedIds } = await listEntries(deps, input);
  return holdDirectories(deps, [directory.name], async (trx) => {
    const stored = await listRekeyCandidates(trx, directory.name);
    const plan = planRekey(rule, stored, entries, skippedIds);
    if (approve === undefined) return { outcome: "planned", plan };
    if (approve !== plan.digest) return { outcome: "plan-differs", plan };
    const users = await rekeyUsers(trx, { directory: directory.name, rekeyed: plan.rekeyed, actor });
    if (users !== plan.rekeyed.length) {
      throw new AppError("aborted", "Users were changed while they got their new ids; nothing was applied.", {
        remedy: "Make the plan again.",
      });
    }
    await forgetMarks(trx, [directory.name]);
    await recordAuditEvent(trx, {
      actor,
      action: "directory-rekey",
      directory: directory.name,
      outcome: "done",
      details: { rule, users, ambiguous: plan.ambiguous.length, planDigest: plan.digest },
    });
    return { outcome: "applied", plan };
  });
}

async function listEntries(
  { db, log }: { db: Database; log: Log },
  { directory, rule, signal }: RekeyInput,
): Promise<{ entries: ListedEntry[]; skippedIds: string[] }> {
  const { kind } = await getDirectoryMemory(db, directory.name);
  const list = async (server: DirectoryConfig) => {
    const entries: ListedEntry[] = [];
    const skippedIds: string[] = [];
    await listDirectory(server, {
      signal,
      log,
      rememberedKind: kind ?? undefined,
      async onPage(page) {
        for (const { directoryId } of page.skipped) if (directoryId !== null) skippedIds.push(directoryId);
        if (page.kind === "entries") entries.push(...entriesOf(page.entries));
      },
    });
    return { entries, skippedIds };
  };
  return fromFirstServer(asRuled(directory, rule), list, log);
}

function entriesOf(packed: Packed<EntryColumns>): ListedEntry[] {
  const columns = unpackColumns(packed);
  return columns.directoryIds.map((directoryId, row) => ({
    directoryId,
    dn: columns.dns[row] ?? "",
    dnKey: columns.dnKeys[row] ?? "",
    usernameKey: columns.usernameKeys[row] ?? "",
    email: columns.emails[row] || null,
    value: columns.displayNames[row] || null,
  }));
}

/** Reads the rule's attribute in the place of the display name, and no groups. */
function asRuled(directory: DirectoryConfig, rule: RekeyRule): DirectoryConfig {
  const { users } = directory;
  const attributes =
    rule.by === "attribute" ? { ...users.attributes, displayName: rule.attribute } : users.attributes;
  return { ...directory, users: { ...users, attributes }, groups: undefined };
}
