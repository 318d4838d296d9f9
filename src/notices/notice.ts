// What people are told of: the kinds of notice, whom they are for, and what a mail address may look like. Pure.

/** Written in the transaction of the act, by a trigger (migrations/0003_notices_and_console.ts). */
export const noticesOfActs = [
  "enrolled",
  "replaced",
  "disabled",
  "disabled-by-admin",
  "backup-code-used",
  "locked-out",
  "run-held",
  "seal-broken",
] as const;

/** Found in what is stored, once each: nothing happens at the moment in which they begin to be true. */
export const noticesOfStates = [
  "must-enroll",
  "reminder",
  "runs-failed",
  "directory-stale",
  "audit-chain-broken",
] as const;

export const noticeKinds = [...noticesOfActs, ...noticesOfStates];
export type NoticeKind = (typeof noticesOfActs)[number] | (typeof noticesOfStates)[number];

export const noticeChannels = ["mail", "webhook"] as const;
export type NoticeChannel = (typeof noticeChannels)[number];

export const noticeStates = ["waiting", "delivered", "dead"] as const;
export type NoticeState = (typeof noticeStates)[number];

export interface Notice {
  id: string;
  kind: NoticeKind;
  channel: NoticeChannel;
  /** Whom it is for; null for what admins are told. */
  user: { username: string; address: string } | null;
  directory: string | null;
  facts: Readonly<Record<string, unknown>>;
  createdAt: Date;
  state: NoticeState;
  attempts: number;
  nextAttemptAt: Date;
  lastError: string | null;
}

/** RFC 5321, 4.5.3.1: more is no address. */
const addressMaxLength = 254;
const localMaxLength = 64;

/**
 * True for one plain address. Addresses come from the directory, where users may write their own: what could name a second
 * recipient, end a header line or begin an SMTP command is refused, as are the quoted forms that nobody uses.
 */
export function isMailAddress(text: string): boolean {
  if (text.length > addressMaxLength) return false;
  const [, local = "", domain = ""] = /^([^\s@]+)@([^\s@]+)$/.exec(text) ?? [];
  if (local === "" || local.length > localMaxLength) return false;
  return /^[\p{L}\p{N}!#$%&'*+/=?^_`{|}~.-]+$/u.test(local) && isDomain(domain);
}

function isDomain(domain: string): boolean {
  const labels = domain.split(".");
  return (
    labels.length > 1 &&
    labels.every((label) => /^[\p{L}\p{N}]([\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?$/u.test(label))
  );
}
