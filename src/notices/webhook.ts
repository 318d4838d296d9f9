// Notices for admins as signed requests, in the form of Standard Webhooks (standardwebhooks.com, 1.0.0), so that the receiver can
// check that each comes from dirmfa, is fresh, and was not changed.

import { createHmac } from "node:crypto";
import type { WebhookConfig } from "../config/config.ts";
import { postTo } from "../post.ts";
import type { Channel, Delivery } from "./deliver.ts";
import { failureCodesOf } from "./failure-codes.ts";
import type { Notice } from "./notice.ts";

// Longer, and the receiver is away.
const timeoutMs = 10_000;

export function openWebhook(config: WebhookConfig): Channel {
  return { deliver: (notice) => send(config, notice, new Date()), close() {} };
}

async function send(config: WebhookConfig, notice: Notice, now: Date): Promise<Delivery> {
  const body = bodyOf(notice);
  const timestamp = String(Math.floor(now.getTime() / 1000));
  const headers = {
    "content-type": "application/json",
    "webhook-id": notice.id,
    "webhook-timestamp": timestamp,
    "webhook-signature": signatureOf(config.keySecret, { id: notice.id, timestamp, body }),
  };
  try {
    const { url, caPem } = config;
    const status = await postTo({ url, caPem, method: "POST", headers, body, timeoutMs });
    if (status >= 200 && status < 300) return { outcome: "delivered" };
    return { outcome: "failed", error: `webhook: status ${status}` };
  } catch (error) {
    return { outcome: "away", error: `webhook: ${failureCodesOf(error) || "no answer"}` };
  }
}

function bodyOf({ kind, createdAt, directory, facts }: Notice): string {
  return JSON.stringify({ type: kind, timestamp: createdAt.toISOString(), data: { directory, ...facts } });
}

/** Over id, time and body, so that none of them can be exchanged. */
export function signatureOf(key: Buffer, message: { id: string; timestamp: string; body: string }): string {
  const { id, timestamp, body } = message;
  return `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`;
}

/** Whether the receiver can be reached and has the certificate of its name; any answer shows that it is there. */
export async function tryWebhook({ url, caPem }: WebhookConfig): Promise<void> {
  await postTo({ url, caPem, method: "HEAD", headers: {}, body: "", timeoutMs });
}
