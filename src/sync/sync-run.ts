// The sync run as the store keeps it and as the API and the command line show it. Pure.

import type { ErrorCode } from "../errors.ts";

export const runStatuses = ["running", "succeeded", "failed", "held", "abandoned"] as const;

export type RunStatus = (typeof runStatuses)[number];
export type RunTrigger = "schedule" | "start" | "request" | "approval";
export type ChangeAction = "add" | "change" | "restore" | "disable" | "remove";

export interface RunCounts {
  listed: number;
  unchanged: number;
  added: number;
  changed: number;
  restored: number;
  disabled: number;
  removed: number;
  skipped: number;
}

/** A fact about a run that an admin should know: a stable code, and one sentence. */
export interface RunRemark<Code extends HoldCode | NoteCode = HoldCode | NoteCode> {
  code: Code;
  text: string;
}

export type HoldCode =
  | "listing-empty"
  | "listing-unusable"
  | "base-empty"
  | "group-listing-empty"
  | "known-in-another-directory"
  | "too-many-removals"
  | "too-many-disables"
  | "too-many-enables"
  | "too-many-renames"
  | "too-many-requirement-ends"
  | "required-group-lost"
  | "names-under-new-ids";
export type NoteCode =
  | "ended-in-full-run"
  | "states-unknown"
  | "attributes-left-out"
  | "groups-skipped"
  | "parts-elsewhere"
  | "another-server"
  | "older-copy"
  | "enrollment-required"
  | "moved-during-listing"
  | "removals-beyond-approval"
  | "removals-unconfirmed";

/** Why a run failed, in words that an admin can act on. */
export interface RunError {
  code: ErrorCode | "internal";
  message: string;
  remedy: string | null;
}

export interface SyncRun {
  id: string;
  directory: string;
  /** `one-user`: no pass over the directory, but one user who was read on demand (rule 26). */
  kind: "full" | "incremental" | "one-user";
  trigger: RunTrigger;
  requestedBy: string;
  dryRun: boolean;
  /** The held run that this one was approved to carry out. */
  approves: string | null;
  status: RunStatus;
  startedAt: Date;
  finishedAt: Date | null;
  serverUrl: string | null;
  /** Null until the plan is made. */
  counts: RunCounts | null;
  holdReasons: RunRemark<HoldCode>[];
  notes: RunRemark<NoteCode>[];
  planDigest: string | null;
  approvedAt: Date | null;
  approvedBy: string | null;
  error: RunError | null;
}

export interface SyncChange {
  directoryId: string;
  /** The user; for an `add`, the id that the user has got, or null when the plan was not applied. */
  userId: string | null;
  action: ChangeAction;
  username: string;
  dn: string;
  reasons: string[];
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
}

/** An entry that could not be used, and why (rule 8). */
export interface SyncSkip {
  dn: string;
  reason: string;
  detail: string;
}
