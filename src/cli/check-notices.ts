// What `check` finds out about notices: the mail server and the receiver of the webhook, reached as for a delivery. Sends
// no notice.

import type { NoticesConfig } from "../config/config.ts";
import { failureCodesOf } from "../notices/failure-codes.ts";
import { tryMail } from "../notices/mail.ts";
import { tryWebhook } from "../notices/webhook.ts";
import type { Finding } from "./finding.ts";

export async function checkNotices({ mail, webhook }: NoticesConfig): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (mail) {
    const about = "notices.mail";
    const remedy = "Notices wait until it works. Check server, TLS, user and password.";
    findings.push(await tried(about, `${mail.host}:${mail.port} takes mail`, remedy, () => tryMail(mail)));
  }
  if (webhook) {
    const about = "notices.admins.webhook";
    const remedy = "Notices wait until it works. Check its address, its certificate and `caFile`.";
    findings.push(await tried(about, "the receiver can be reached", remedy, () => tryWebhook(webhook)));
  }
  return findings;
}

/** A failure here stops no start, and so it is a warning. */
async function tried(
  about: string,
  good: string,
  remedy: string,
  attempt: () => Promise<void>,
): Promise<Finding> {
  try {
    await attempt();
    return { level: "good", about, message: good };
  } catch (error) {
    const told = failureCodesOf(error) || "no answer";
    return { level: "warning", about, message: `cannot be used now (${told})`, remedy };
  }
}
