// Notices by mail, over one connection a round. The recipient is one address that was checked; no name, header or file of
// anybody else's making goes into a message.

import nodemailer from "nodemailer";
import type { MailConfig } from "../config/config.ts";
import type { Channel, Delivery } from "./deliver.ts";
import { failureCodesOf } from "./failure-codes.ts";
import { mailTextOf } from "./mail-text.ts";
import { isMailAddress, type Notice } from "./notice.ts";

// A server that is slower than this with one step is away; the round goes on with the next channel.
const timeouts = {
  connectionTimeout: 10_000,
  greetingTimeout: 10_000,
  socketTimeout: 20_000,
  dnsTimeout: 10_000,
};

function createTransport(config: MailConfig) {
  const { host, port, implicitTls, tls, auth } = config;
  return nodemailer.createTransport({
    pool: true,
    maxConnections: 1,
    maxMessages: Number.POSITIVE_INFINITY,
    host,
    port,
    secure: implicitTls,
    // STARTTLS or nothing: else whoever sits between takes it out of the server's answer.
    requireTLS: !implicitTls && !tls.allowPlaintext,
    ...(tls.allowPlaintext && !implicitTls ? { ignoreTLS: true } : {}),
    tls: {
      minVersion: "TLSv1.2",
      rejectUnauthorized: true,
      ...(tls.caPem === undefined ? {} : { ca: tls.caPem }),
      ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    },
    ...(auth === undefined ? {} : { auth: { user: auth.user, pass: auth.passwordSecret } }),
    disableFileAccess: true,
    disableUrlAccess: true,
    ...timeouts,
  });
}

/** Notices for admins go to `adminAddresses`, one message to all of them. */
export function openMail(config: MailConfig, adminAddresses: readonly string[]): Channel {
  const transport = createTransport(config);
  return {
    async deliver(notice) {
      const to = notice.user === null ? [...adminAddresses] : [notice.user.address];
      if (to.length === 0 || !to.every(isMailAddress))
        return { outcome: "refused", error: "no usable mail address" };
      try {
        await transport.sendMail(messageOf(notice, config, to));
        return { outcome: "delivered" };
      } catch (error) {
        return failureOf(error);
      }
    },
    close: () => transport.close(),
  };
}

function messageOf(notice: Notice, config: MailConfig, to: string[]) {
  const { subject, text } = mailTextOf(notice, config.words);
  return {
    // Objects are taken as they are; a text would be read for names and further addresses.
    from: { name: config.fromName, address: config.from },
    to: to.map((address) => ({ name: "", address })),
    envelope: { from: config.from, to },
    // The same for each try, so that a receiver may drop the second one.
    messageId: `<${notice.id}@${config.from.slice(config.from.indexOf("@") + 1)}>`,
    headers: { "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All" },
    subject,
    text,
  };
}

function failureOf(error: unknown): Delivery {
  const { code, responseCode } = Object(error) as { code?: unknown; responseCode?: unknown };
  const facts = { error: `mail: ${failureCodesOf(error) || "not sent"}` };
  // The recipient, and for good (RFC 5321, 4.2.1).
  if (code === "EENVELOPE") {
    const isForGood = typeof responseCode === "number" && responseCode >= 500;
    return { outcome: isForGood ? "refused" : "failed", ...facts };
  }
  return { outcome: code === "EMESSAGE" ? "failed" : "away", ...facts };
}

/** Connects, checks the certificate, signs in, and sends nothing. Throws what nodemailer throws. */
export async function tryMail(config: MailConfig): Promise<void> {
  const transport = createTransport(config);
  try {
    await transport.verify();
  } finally {
    transport.close();
  }
}
