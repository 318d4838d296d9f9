// The section `notices` as the rest of dirmfa reads it. Pure.

import type { MailConfig, NoticesConfig } from "./config.ts";
import { parseDuration } from "./formats.ts";
import { noticeTexts, parseNoticeTexts } from "./notice-texts.ts";
import type { ConfigFile } from "./schema.ts";
import { parseWebhookKey } from "./webhook-key.ts";

export function buildNotices(
  { notices, mfa }: ConfigFile,
  contents: ReadonlyMap<string, string>,
): NoticesConfig {
  const { mail, admins, reminders, giveUpAfter } = notices;
  return {
    mail: mail && buildMail(mail, mfa.issuer, contents),
    adminAddresses: admins.mail,
    webhook: admins.webhook && {
      url: admins.webhook.url,
      keySecret: parseWebhookKey(contents.get("notices.admins.webhook.keyFile") ?? "") ?? missing("key"),
      caPem: contents.get("notices.admins.webhook.caFile"),
    },
    failedRuns: admins.failedRuns,
    staleAfterMs: milliseconds(admins.staleAfter),
    remindersMs: reminders.map(milliseconds),
    giveUpAfterMs: milliseconds(giveUpAfter),
  };
}

type MailFile = NonNullable<ConfigFile["notices"]["mail"]>;

function buildMail(file: MailFile, organization: string, contents: ReadonlyMap<string, string>): MailConfig {
  const url = new URL(file.server);
  const implicitTls = url.protocol === "smtps:";
  const passwordSecret = contents.get("notices.mail.passwordFile");
  const own = contents.get("notices.mail.textsFile");
  const ownTexts = own === undefined ? { texts: {} } : parseNoticeTexts(own);
  return {
    host: url.hostname,
    port: url.port === "" ? (implicitTls ? 465 : 587) : Number(url.port),
    implicitTls,
    tls: {
      caPem: contents.get("notices.mail.tls.caFile"),
      serverName: file.tls.serverName,
      allowPlaintext: file.tls.allowPlaintext,
    },
    auth:
      file.user === undefined || passwordSecret === undefined
        ? undefined
        : { user: file.user, passwordSecret },
    from: file.from,
    fromName: organization,
    words: {
      language: file.language,
      texts: { ...noticeTexts[file.language], ...("texts" in ownTexts ? ownTexts.texts : missing("texts")) },
      organization,
      help: file.help,
      timeZone: file.timeZone,
    },
  };
}

function milliseconds(text: string): number {
  return parseDuration(text) ?? missing("duration");
}

/** Everything that can be wrong was told before. */
function missing(what: string): never {
  throw new Error(`a wrong ${what} of notices passed the check`);
}
