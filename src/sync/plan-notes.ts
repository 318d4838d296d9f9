// What a run tells beside its counts: of the listing, of what was asked again, of whom MFA stops, and of users that the plan keeps
// though the listing does not name them.

import type { Transaction } from "../store/database.ts";
import type { Answer } from "./ask-before-planning.ts";
import type { Copy } from "./directories-table.ts";
import type { ToEnroll } from "./plan-requirements-table.ts";
import { countUnlistedKept, type PlanRun } from "./plan-table.ts";
import type { StagedListing } from "./stage-listing.ts";
import type { NoteCode, RunRemark } from "./sync-run.ts";

export function notesOfAnswer(answer: Answer | undefined): RunRemark<NoteCode>[] {
  if (answer === undefined || answer.found === 0) return [];
  return [
    {
      code: "moved-during-listing",
      text: `${answer.found} users were not in the listing, but are in the directory: they moved while it was listed, and stay as they are until the next run.`,
    },
  ];
}

/** Tells of what was listed, and did not count whole. */
export function notesOfListing(listing: StagedListing & { skippedGroups: number }): RunRemark<NoteCode>[] {
  const { statesUnknown, leftOut, skippedGroups, references } = listing;
  const notes: RunRemark<NoteCode>[] = [];
  if (statesUnknown > 0) {
    notes.push({
      code: "states-unknown",
      text: `${statesUnknown} entries do not say whether they are disabled: users keep the state that they had, and new ones are disabled. Give the bind DN the right to read userAccountControl, or set users.disabled.`,
    });
  }
  if (leftOut > 0) {
    notes.push({
      code: "attributes-left-out",
      text: `${leftOut} entries have attributes that cannot be used, and count without them; the skips of the run name them.`,
    });
  }
  if (skippedGroups > 0) {
    notes.push({
      code: "groups-skipped",
      text: `${skippedGroups} groups cannot be used and stay as they are stored; the skips of the run name them.`,
    });
  }
  if (references.length > 0) {
    notes.push({
      code: "parts-elsewhere",
      text: `Parts of the directory are on other servers, and are not listed: ${references.join(", ")}.`,
    });
  }
  return notes;
}

/** Tells whom the plan stops at their next sign-in, and why. */
export function notesOfEnrollment(toEnroll: ToEnroll, graceMs: number): RunRemark<NoteCode>[] {
  if (toEnroll.all === 0) return [];
  const reasons = [
    ["for the whole organization", toEnroll.organization],
    ["for the directory", toEnroll.directory],
    ["for new users", toEnroll.newUser],
    ["for a group", toEnroll.groups],
  ] as const;
  const why = reasons.flatMap(([reason, users]) => (users > 0 ? [`${reason} (${users})`] : [])).join(", ");
  const stopped = `${toEnroll.all} of them will be stopped at their next sign-in until they enroll`;
  const asked = `${toEnroll.all} of them will be asked to enroll at their next sign-in, and stopped there once mfa.enrollmentGrace is over`;
  return [{ code: "enrollment-required", text: `${graceMs > 0 ? asked : stopped}: MFA is required ${why}.` }];
}

/** Tells of users that the listing does not name and the plan keeps all the same. */
export async function findNotes(
  trx: Transaction,
  run: PlanRun,
  { copy, left, confirmRemovals }: { copy: Copy; left: number; confirmRemovals: number },
): Promise<RunRemark<NoteCode>[]> {
  if (copy === "older") {
    return [
      {
        code: "older-copy",
        text: `The listing is of an older copy of the directory than the last one. It adds users who are new, and leaves ${left} users and groups that differ as they are until the server has caught up.`,
      },
    ];
  }
  if (copy === "same" && run.approves === null && confirmRemovals === 1) return [];
  const kept = await countUnlistedKept(trx, run);
  if (kept === 0) return [];
  if (copy === "another") {
    return [
      {
        code: "another-server",
        text: `The listing came from another server than the last one, so ${kept} users that it does not name are left to the next complete listing from the same server.`,
      },
    ];
  }
  if (run.approves === null) {
    return [
      {
        code: "removals-unconfirmed",
        text: `${kept} users are missing from the listing; they are removed when ${confirmRemovals} complete listings in a row do not name them.`,
      },
    ];
  }
  return [
    {
      code: "removals-beyond-approval",
      text: `${kept} more users are gone from the directory but were not in the approved plan; the next run will plan them.`,
    },
  ];
}
