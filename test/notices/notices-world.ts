// A mail server with TLS that does what a test wants, and the configuration to reach it.

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { createCertificateAuthority } from "../../scripts/servers/certificates.ts";
import type { MailConfig, NoticesConfig } from "../../src/config/config.ts";
import { noticeTexts } from "../../src/config/notice-texts.ts";
import type { Database } from "../../src/store/database.ts";

export const authority = createCertificateAuthority();

export interface Mail {
  to: string[];
  from: string;
  raw: string;
}

export interface MailServer {
  port: number;
  mails: Mail[];
  /** Replaced by tests: what is said to a recipient, and what is done with a message. */
  onRecipient(address: string): Promise<void>;
  onMessage(mail: Mail): Promise<void>;
  connections: number;
  close(): Promise<void>;
}

/** An answer of the server: `reject(550, …)` for good, `reject(451, …)` for now. */
export function reject(responseCode: number, message = "no"): Error {
  return Object.assign(new Error(message), { responseCode });
}

export async function startMailServer(options: Partial<SMTPServerOptions> = {}): Promise<MailServer> {
  const { certPem, keyPem } = authority.issue({ names: ["localhost"] });
  const server: MailServer = {
    port: 0,
    mails: [],
    onRecipient: async () => {},
    onMessage: async () => {},
    connections: 0,
    close: async () => {},
  };
  const smtp = new SMTPServer({
    secure: true,
    key: keyPem,
    cert: certPem,
    onAuth: ({ username, password }, _session, done) =>
      done(username === "dirmfa" && password === "hunter2" ? null : reject(535), { user: username }),
    onConnect(_session, done) {
      server.connections += 1;
      done();
    },
    onRcptTo({ address }, _session, done) {
      server.onRecipient(address).then(() => done(), done);
    },
    onData(stream, { envelope }, done) {
      text(stream)
        .then(async (raw) => {
          const to = envelope.rcptTo.map(({ address }) => address);
          const mail = { to, from: envelope.mailFrom ? envelope.mailFrom.address : "", raw };
          await server.onMessage(mail);
          server.mails.push(mail);
        })
        .then(() => done(), done);
    },
    ...options,
  });
  smtp.on("error", () => {}); // a client that goes away
  const listening = smtp.listen(0, "127.0.0.1");
  await once(listening, "listening");
  // An address of TCP, as it listens on a port.
  server.port = (listening.address() as AddressInfo).port;
  server.close = () => new Promise<void>((resolve) => smtp.close(() => resolve()));
  return server;
}

export function mailConfigOf(port: number, changes: Partial<MailConfig> = {}): MailConfig {
  return {
    host: "localhost",
    port,
    implicitTls: true,
    tls: { caPem: authority.certPem, serverName: undefined, allowPlaintext: false },
    auth: { user: "dirmfa", passwordSecret: "hunter2" },
    from: "dirmfa@example.org",
    fromName: "ACME",
    words: {
      language: "en",
      texts: noticeTexts.en,
      organization: "ACME",
      help: "phone 4711",
      timeZone: "UTC",
    },
    ...changes,
  };
}

export function noticesConfigOf(changes: Partial<NoticesConfig> = {}): NoticesConfig {
  return {
    mail: undefined,
    webhook: undefined,
    adminAddresses: [],
    failedRuns: 3,
    staleAfterMs: 86_400_000,
    remindersMs: [7 * 86_400_000, 86_400_000],
    giveUpAfterMs: 3 * 86_400_000,
    ...changes,
  };
}

export interface NoticeRow {
  id: string;
  kind: string;
  channel: string;
  address: string | null;
  facts: Record<string, unknown>;
  state: string;
  attempts: number;
  last_error: string | null;
}

export function noticesIn(db: Database): Promise<NoticeRow[]> {
  return db("notices")
    .select("id", "kind", "channel", "address", "facts", "state", "attempts", "last_error")
    .orderBy(["created_at", "id"]);
}
