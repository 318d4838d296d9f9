// Notices for admins as signed requests, in the form of Standard Webhooks (standardwebhooks.com, 1.0.0): any receiver can check
// that it comes from dirmfa, is fresh, and was not changed.

import { createHmac } from "node:crypto";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { WebhookConfig } from "../config/config.ts";
import type { Channel, Delivery } from "./deliver.ts";
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
    "content-length": String(Buffer.byteLength(body)),
    "user-agent": "dirmfa",
    "webhook-id": notice.id,
    "webhook-timestamp": timestamp,
    "webhook-signature": signatureOf(config.keySecret, { id: notice.id, timestamp, body }),
  };
  try {
    const status = await post(config, headers, body);
    if (status >= 200 && status < 300) return { outcome: "delivered" };
    return { outcome: "failed", error: `webhook: status ${status}` };
  } catch (error) {
    const { code } = Object(error) as { code?: unknown };
    return { outcome: "away", error: `webhook: ${typeof code === "string" ? code : "no answer"}` };
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

/** The answer's status. A redirect is not followed: it would send what is signed to somebody else. */
function post(config: WebhookConfig, headers: Record<string, string>, body: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const url = new URL(config.url);
  const send = url.protocol === "https:" ? requestHttps : requestHttp;
  const request = send(url, {
    method: "POST",
    headers,
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
    minVersion: "TLSv1.2",
    ...(config.caPem === undefined ? {} : { ca: config.caPem }),
  });
  request.on("error", reject);
  request.on("response", (response) => {
    // What it says is nothing to us.
    response.resume();
    response.on("error", reject);
    resolve(response.statusCode ?? 0);
    request.destroy();
  });
  request.end(body);
  return promise;
}

/** Whether the receiver can be reached and has the certificate of its name; sends a request without a notice. */
export async function tryWebhook(config: WebhookConfig): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const url = new URL(config.url);
  const send = url.protocol === "https:" ? requestHttps : requestHttp;
  const ca = config.caPem === undefined ? {} : { ca: config.caPem };
  const signal = AbortSignal.timeout(timeoutMs);
  // Any answer shows that it is there; which one HEAD gets is not told by the protocol.
  const request = send(url, { method: "HEAD", agent: false, signal, minVersion: "TLSv1.2", ...ca });
  request.on("error", reject);
  request.on("response", (response) => {
    response.resume();
    resolve();
  });
  request.end();
  return promise;
}
