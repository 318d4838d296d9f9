// Prometheus metrics, in their own registry. Labels are words of a closed list, never names of users or callers.

import { Counter, Gauge, Histogram, Registry } from "prom-client";

export interface Metrics {
  contentType: string;
  /** The text that Prometheus reads. */
  text(): Promise<string>;
  observeRequest(method: string, route: string, status: number, seconds: number): void;
  countDecision(decision: string): void;
  /** `outcome` as the flow has it; counted are those that say something about a code. */
  countVerification(method: string, outcome: string): void;
  /** `error`: the code that a failed run carries, null for the others. */
  countSyncRun(directory: string, status: string, error: string | null): void;
  /** Of a user read on demand; `outcome` as sync/on-demand.ts has it. */
  countUserRead(directory: string, outcome: string): void;
}

// From a sign-in decision's usual millisecond to the time limit of an answer.
const requestSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15];

// A code is accepted whatever it was for. An unknown user's code was not looked at and is not counted.
const verificationOutcomes = new Map([
  ["accepted", "accepted"],
  ["begun", "accepted"],
  ["confirmed", "accepted"],
  ["disabled", "accepted"],
  ["regenerated", "accepted"],
  ["code-rejected", "rejected"],
  ["locked-out", "locked-out"],
  ["secret-unreadable", "secret-unreadable"],
]);

/**
 * `readSyncAges` is asked at every scrape, since any replica may have run the sync; seconds since the last complete listing
 * of each directory was applied, since its server has only older copies to show, and how many entries of the last one could not be
 * used. So are the other readers, where there are any. When one fails the rest is still answered.
 */
export function createMetrics(
  readSyncAges: () => Promise<
    readonly { directory: string; seconds: number; olderCopySeconds: number | null; skipped: number | null }[]
  >,
  readAudit?: () => Promise<{ unsealedSeconds: number; broken: boolean }>,
  readGroupsNotFound?: () => Promise<readonly string[]>,
  readNotices?: () => Promise<{ waiting: number; dead: number; oldestSeconds: number }>,
  readUnstreamed?: () => Promise<number>,
): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Histogram({
    name: "dirmfa_http_request_duration_seconds",
    help: "Time from the request's headers to the end of the answer.",
    labelNames: ["method", "route", "status"],
    buckets: requestSeconds,
    registers,
  });
  const decisions = new Counter({
    name: "dirmfa_sign_in_decisions_total",
    help: "Sign-in decisions by answer.",
    labelNames: ["decision"],
    registers,
  });
  const verifications = new Counter({
    name: "dirmfa_verifications_total",
    help: "Codes checked, by method and outcome.",
    labelNames: ["method", "outcome"],
    registers,
  });
  const syncRuns = new Counter({
    name: "dirmfa_sync_runs_total",
    help: "Sync runs that this process finished, by directory, status and error code.",
    labelNames: ["directory", "status", "error"],
    registers,
  });
  const userReads = new Counter({
    name: "dirmfa_user_reads_total",
    help: "Users read on demand by this process, by directory and outcome; not-asked: over the rate, asked lately, or after a failure.",
    labelNames: ["directory", "outcome"],
    registers,
  });
  new Gauge({
    name: "dirmfa_sync_age_seconds",
    help: "Seconds since the last complete listing of the directory was applied, by any replica.",
    labelNames: ["directory"],
    registers,
    async collect() {
      this.reset();
      const ages = await readSyncAges().catch(() => []);
      for (const { directory, seconds } of ages) this.set({ directory }, seconds);
    },
  });
  if (readGroupsNotFound) {
    new Gauge({
      name: "dirmfa_required_groups_not_found",
      help: "Groups of mfa.requireForGroups that no run has found: they require MFA of nobody.",
      registers,
      async collect() {
        const groups = await readGroupsNotFound().catch(() => undefined);
        if (groups) this.set(groups.length);
        else this.reset();
      },
    });
  }
  new Gauge({
    name: "dirmfa_older_copy_seconds",
    help: "Seconds since listings of the directory are of an older copy, which changes and removes nobody; 0 when they are not.",
    labelNames: ["directory"],
    registers,
    async collect() {
      this.reset();
      const ages = await readSyncAges().catch(() => []);
      for (const { directory, olderCopySeconds } of ages) this.set({ directory }, olderCopySeconds ?? 0);
    },
  });
  // Each asks for itself: the gauges of a scrape are read side by side.
  new Gauge({
    name: "dirmfa_sync_skipped_entries",
    help: "Entries of the last complete listing of the directory that could not be used, by any replica.",
    labelNames: ["directory"],
    registers,
    async collect() {
      this.reset();
      const ages = await readSyncAges().catch(() => []);
      for (const { directory, skipped } of ages) if (skipped !== null) this.set({ directory }, skipped);
    },
  });
  if (readAudit) addAuditGauges(registers, readAudit);
  if (readNotices) addNoticeGauges(registers, readNotices);
  if (readUnstreamed) {
    new Gauge({
      name: "dirmfa_audit_stream_waiting_events",
      help: "Sealed audit events that the event stream has not brought yet.",
      registers,
      async collect() {
        const waiting = await readUnstreamed().catch(() => undefined);
        if (waiting === undefined) this.reset();
        else this.set(waiting);
      },
    });
  }
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    observeRequest: (method, route, status, seconds) => requests.observe({ method, route, status }, seconds),
    countDecision: (decision) => decisions.inc({ decision }),
    countVerification(method, outcome) {
      const word = verificationOutcomes.get(outcome);
      if (word) verifications.inc({ method, outcome: word });
    },
    countSyncRun: (directory, status, error) => syncRuns.inc({ directory, status, error: error ?? "" }),
    countUserRead: (directory, outcome) => userReads.inc({ directory, outcome }),
  };
}

function addNoticeGauges(
  registers: Registry[],
  readNotices: () => Promise<{ waiting: number; dead: number; oldestSeconds: number }>,
): void {
  const oldest = new Gauge({
    name: "dirmfa_notices_oldest_seconds",
    help: "Seconds that the oldest notice waits for its delivery.",
    registers,
  });
  new Gauge({
    name: "dirmfa_notices",
    help: "Notices that wait for their delivery, and those that were given up.",
    labelNames: ["state"],
    registers,
    async collect() {
      this.reset();
      const notices = await readNotices().catch(() => undefined);
      if (!notices) return oldest.reset();
      this.set({ state: "waiting" }, notices.waiting);
      this.set({ state: "dead" }, notices.dead);
      oldest.set(notices.oldestSeconds);
    },
  });
}

function addAuditGauges(
  registers: Registry[],
  readAudit: () => Promise<{ unsealedSeconds: number; broken: boolean }>,
): void {
  const broken = new Gauge({
    name: "dirmfa_audit_chain_broken",
    help: "1 while this process refuses to seal audit events, since the chain does not go on from the end it has noted.",
    registers,
  });
  new Gauge({
    name: "dirmfa_audit_unsealed_seconds",
    help: "Seconds that the oldest audit event has waited for its seal; some seconds are usual.",
    registers,
    async collect() {
      const audit = await readAudit().catch(() => undefined);
      if (!audit) return this.reset();
      this.set(audit.unsealedSeconds);
      broken.set(audit.broken ? 1 : 0);
    },
  });
}
