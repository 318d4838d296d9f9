// Delivers what waits in the outbox: one replica a channel at a time, each channel by itself, so that a mail server that does
// not answer keeps no webhook waiting and no act at all. A process that dies in between delivers again (rule 32).

import type { NoticesConfig } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import { acquireLease, releaseLease, renewLease } from "../store/leases-table.ts";
import type { Channel } from "./deliver.ts";
import { openMail } from "./mail.ts";
import { type Notice, type NoticeChannel, noticeChannels } from "./notice.ts";
import { endAsDead, endAsDelivered, listDue, postpone } from "./notices-table.ts";
import { openWebhook } from "./webhook.ts";

export interface DeliverDeps {
  db: Database;
  log: Log;
  /** Which process asks, for the lease. */
  holder: string;
}

// Longer than one delivery with all its time-outs; a dead process keeps the others waiting for no longer.
const leaseMs = 120_000;
const batch = 100;

/** The channels that the configuration has. */
export function channelsOf({ mail, webhook }: NoticesConfig): NoticeChannel[] {
  const has = { mail: mail !== undefined, webhook: webhook !== undefined };
  return noticeChannels.filter((channel) => has[channel]);
}

function open(config: NoticesConfig, channel: NoticeChannel): Channel | undefined {
  if (channel === "mail") return config.mail && openMail(config.mail, config.adminAddresses);
  return config.webhook && openWebhook(config.webhook);
}

/**
 * Delivers what is due until nothing is, the channel is away, or `signal` comes. `away` tells the caller to wait before the
 * next round.
 */
export async function deliverDue(
  deps: DeliverDeps,
  config: NoticesConfig,
  input: { channel: NoticeChannel; signal: AbortSignal },
): Promise<"done" | "away" | "busy"> {
  const { channel, signal } = input;
  // Looked at before the lease: most rounds find nothing.
  if ((await listDue(deps.db, channel, 1)).length === 0) return "done";
  const attempt = await acquireLease(deps.db, {
    name: `notices-${channel}`,
    holder: deps.holder,
    ttlMs: leaseMs,
  });
  if (!attempt.won) return "busy";
  const opened = open(config, channel);
  try {
    if (!opened) return "done";
    for (;;) {
      const due = await listDue(deps.db, channel, batch);
      if (due.length === 0) return "done";
      for (const notice of due) {
        if (signal.aborted || !(await renewLease(deps.db, attempt.lease, leaseMs))) return "done";
        if ((await deliverOne(deps, opened, config, notice)) === "away") return "away";
      }
    }
  } finally {
    opened?.close();
    await releaseLease(deps.db, attempt.lease);
  }
}

async function deliverOne(
  { db, log }: DeliverDeps,
  channel: Channel,
  config: NoticesConfig,
  notice: Notice,
): Promise<"went-on" | "away"> {
  const facts = { noticeId: notice.id, kind: notice.kind, channel: notice.channel };
  // Nobody to tell: admins without an address have the webhook alone.
  if (notice.user === null && notice.channel === "mail" && config.adminAddresses.length === 0) {
    await endAsDelivered(db, notice.id);
    return "went-on";
  }
  const delivery = await channel.deliver(notice);
  if (delivery.outcome === "delivered") {
    await endAsDelivered(db, notice.id);
    log.debug(facts, "notice delivered");
    return "went-on";
  }
  const { outcome, error } = delivery;
  if (outcome === "refused") {
    await endAsDead(db, notice.id, error);
    log.warn({ ...facts, error }, "notice refused; it is not tried again by itself");
    return "went-on";
  }
  await postpone(db, notice.id, error);
  log.warn({ ...facts, error }, "notice not delivered; tried again");
  return outcome === "away" ? "away" : "went-on";
}
