// What the values of `notices` mean together. Pure.

import { isLoopback } from "./formats.ts";
import { type Meaning, refuseKey, warn } from "./meaning.ts";
import { mailServerSchema } from "./notices-schema.ts";
import { isWritten } from "./yaml-source.ts";

export function checkNotices(meaning: Meaning): void {
  const { source } = meaning;
  const mail = ["notices", "mail"];
  const hasUser = isWritten(source, [...mail, "user"]);
  const hasPassword = isWritten(source, [...mail, "passwordFile"]);
  if (hasUser && !hasPassword) refuseKey(meaning, [...mail, "user"], "passwordFile is missing");
  if (hasPassword && !hasUser) refuseKey(meaning, [...mail, "passwordFile"], "user is missing");
  if (meaning.lengthOf(["notices", "admins", "mail"]) > 0 && !isWritten(source, mail)) {
    warn(meaning, ["notices", "admins", "mail"], "nobody is told by mail without notices.mail");
  }
  const server = meaning.part([...mail, "server"], mailServerSchema);
  const allowsPlaintext = source.document.getIn([...mail, "tls", "allowPlaintext"]) === true;
  if (server !== undefined && allowsPlaintext && !isLoopback(new URL(server).hostname)) {
    warn(
      meaning,
      [...mail, "tls", "allowPlaintext"],
      "mails, and the password with them, cross the network unencrypted",
    );
  }
}
