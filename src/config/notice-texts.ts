// What mails say, in English and German, and the file with which an organization says it otherwise. Pure.

import { parseDocument } from "yaml";

export interface NoticeText {
  /** One line. */
  subject: string;
  text: string;
}

/** A text for each kind of notice (src/notices/notice.ts). */
export type NoticeTexts = Readonly<Record<string, NoticeText>>;

export type NoticeLanguage = "en" | "de";

/** What may stand in braces: nothing else of a notice or a user goes into a mail. */
export const placeholders = [
  "username",
  "organization",
  "help",
  "at",
  "deadline",
  "remaining",
  "lockedUntil",
  "directory",
  "since",
  "runs",
  "runId",
  "error",
] as const;

const english: NoticeTexts = {
  enrolled: {
    subject: "{organization}: your second factor is set up",
    text: "An authenticator app was set up for {username} on {at}. Codes of it are asked for from now on.\n\nIf that was not you, tell us at once: {help}",
  },
  replaced: {
    subject: "{organization}: your second factor was replaced",
    text: "The authenticator app of {username} was replaced on {at}. The one before, and its backup codes, no longer work.\n\nIf that was not you, tell us at once: {help}",
  },
  disabled: {
    subject: "{organization}: your second factor was switched off",
    text: "The second factor of {username} was switched off on {at} with a code of its authenticator app.\n\nIf that was not you, tell us at once: {help}",
  },
  "disabled-by-admin": {
    subject: "{organization}: your second factor was removed",
    text: "An administrator has removed the second factor of {username} on {at}, with its backup codes. You may have to set up a new one at the next sign-in.\n\nIf you did not ask for that, tell us at once: {help}",
  },
  "backup-code-used": {
    subject: "{organization}: a backup code was used",
    text: "A backup code of {username} was used on {at}. {remaining} are left; new ones can be made in the settings.\n\nIf that was not you, tell us at once: {help}",
  },
  "locked-out": {
    subject: "{organization}: too many wrong codes",
    text: "After several wrong codes for {username} no more are taken until {lockedUntil}.\n\nIf that was not you, somebody else knows your password. Tell us at once: {help}",
  },
  "must-enroll": {
    subject: "{organization}: set up a second factor by {deadline}",
    text: "From {deadline} on {username} can sign in with a second factor only. Sign in before, and set up an authenticator app.\n\nQuestions: {help}",
  },
  reminder: {
    subject: "{organization}: your second factor is still missing, until {deadline}",
    text: "No second factor is set up for {username} yet. From {deadline} on you cannot sign in without one.\n\nQuestions: {help}",
  },
  "run-held": {
    subject: "dirmfa: a sync run of {directory} is held",
    text: "The sync run {runId} of the directory {directory} would do more than its limits allow. It has changed nothing and waits since {at}.\n\nLook at it with `dirmfa run show {runId}`, and approve it if it is right.",
  },
  "runs-failed": {
    subject: "dirmfa: sync runs of {directory} fail",
    text: "The last {runs} sync runs of the directory {directory} have failed, since {since}. The last error: {error}.\n\nUsers who are stored can sign in; new and changed ones are missing.",
  },
  "directory-stale": {
    subject: "dirmfa: {directory} was not read for long",
    text: "The last complete listing of the directory {directory} is of {since}. Users who were disabled since can still sign in.",
  },
  "seal-broken": {
    subject: "dirmfa: a stored secret cannot be opened",
    text: "On {at} a stored secret could not be opened: a sealing key is missing, or somebody has changed the database. Further ones within the hour are not told.\n\nLook at `dirmfa key status` and `dirmfa audit list --action seal-broken`.",
  },
  "audit-chain-broken": {
    subject: "dirmfa: the audit chain is broken",
    text: "The audit chain in the database does not go on from the end that was noted. Nothing is sealed until somebody looks.\n\nRun `dirmfa audit verify`.",
  },
};

const german: NoticeTexts = {
  enrolled: {
    subject: "{organization}: Ihr zweiter Faktor ist eingerichtet",
    text: "Für {username} wurde am {at} eine Authenticator-App eingerichtet. Ab jetzt wird nach ihren Codes gefragt.\n\nWaren Sie das nicht, melden Sie sich sofort: {help}",
  },
  replaced: {
    subject: "{organization}: Ihr zweiter Faktor wurde ersetzt",
    text: "Die Authenticator-App von {username} wurde am {at} ersetzt. Die bisherige und ihre Backup-Codes gelten nicht mehr.\n\nWaren Sie das nicht, melden Sie sich sofort: {help}",
  },
  disabled: {
    subject: "{organization}: Ihr zweiter Faktor wurde abgeschaltet",
    text: "Der zweite Faktor von {username} wurde am {at} mit einem Code der Authenticator-App abgeschaltet.\n\nWaren Sie das nicht, melden Sie sich sofort: {help}",
  },
  "disabled-by-admin": {
    subject: "{organization}: Ihr zweiter Faktor wurde entfernt",
    text: "Der zweite Faktor von {username} wurde am {at} von der Administration entfernt, samt den Backup-Codes. Bei der nächsten Anmeldung müssen Sie vielleicht einen neuen einrichten.\n\nHaben Sie nicht darum gebeten, melden Sie sich sofort: {help}",
  },
  "backup-code-used": {
    subject: "{organization}: Ein Backup-Code wurde verwendet",
    text: "Am {at} wurde ein Backup-Code von {username} verwendet. Es bleiben {remaining}; neue gibt es in den Einstellungen.\n\nWaren Sie das nicht, melden Sie sich sofort: {help}",
  },
  "locked-out": {
    subject: "{organization}: Zu viele falsche Codes",
    text: "Nach mehreren falschen Codes für {username} werden bis {lockedUntil} keine mehr angenommen.\n\nWaren Sie das nicht, kennt jemand Ihr Passwort. Melden Sie sich sofort: {help}",
  },
  "must-enroll": {
    subject: "{organization}: Richten Sie bis {deadline} einen zweiten Faktor ein",
    text: "Ab {deadline} kann sich {username} nur noch mit einem zweiten Faktor anmelden. Melden Sie sich vorher an und richten Sie eine Authenticator-App ein.\n\nFragen: {help}",
  },
  reminder: {
    subject: "{organization}: Ihr zweiter Faktor fehlt noch, Frist {deadline}",
    text: "Für {username} ist noch kein zweiter Faktor eingerichtet. Ab {deadline} können Sie sich ohne ihn nicht mehr anmelden.\n\nFragen: {help}",
  },
  "run-held": {
    subject: "dirmfa: Ein Abgleich von {directory} ist angehalten",
    text: "Der Abgleich {runId} des Verzeichnisses {directory} würde mehr ändern, als seine Grenzen erlauben. Er hat nichts geändert und wartet seit {at}.\n\n`dirmfa run show {runId}` zeigt ihn; ist er richtig, kann er freigegeben werden.",
  },
  "runs-failed": {
    subject: "dirmfa: Der Abgleich von {directory} schlägt fehl",
    text: "Die letzten {runs} Läufe für das Verzeichnis {directory} sind fehlgeschlagen, seit {since}. Der letzte Fehler: {error}.\n\nWer gespeichert ist, kann sich anmelden; neue und geänderte Personen fehlen.",
  },
  "directory-stale": {
    subject: "dirmfa: {directory} wurde lange nicht gelesen",
    text: "Die letzte vollständige Auflistung des Verzeichnisses {directory} ist von {since}. Wer seither gesperrt wurde, kann sich noch anmelden.",
  },
  "seal-broken": {
    subject: "dirmfa: Ein gespeichertes Geheimnis lässt sich nicht öffnen",
    text: "Am {at} ließ sich ein gespeichertes Geheimnis nicht öffnen: Ein Schlüssel fehlt, oder jemand hat die Datenbank geändert. Weitere innerhalb der Stunde werden nicht gemeldet.\n\n`dirmfa key status` und `dirmfa audit list --action seal-broken` zeigen mehr.",
  },
  "audit-chain-broken": {
    subject: "dirmfa: Die Audit-Kette ist gebrochen",
    text: "Die Audit-Kette in der Datenbank schließt nicht an das vermerkte Ende an. Bis jemand nachsieht, wird nichts mehr versiegelt.\n\n`dirmfa audit verify` zeigt mehr.",
  },
};

export const noticeTexts: Readonly<Record<NoticeLanguage, NoticeTexts>> = { en: english, de: german };

/** A file of texts, kind by kind; a kind that is left out keeps the text of the language. Or what is wrong with it. */
export function parseNoticeTexts(text: string): { texts: NoticeTexts } | { wrong: string } {
  const document = parseDocument(text, { schema: "core", merge: false });
  if (document.errors.length > 0) return { wrong: "is not YAML" };
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  if (!isMapping(value)) return { wrong: "has no mapping of kinds to texts" };
  const texts: Record<string, NoticeText> = {};
  for (const [kind, entry] of Object.entries(value)) {
    if (!Object.hasOwn(english, kind))
      return { wrong: `has a text for "${kind}", which is no kind of notice` };
    const wrong = wrongIn(entry);
    if (wrong !== undefined) return { wrong: `${wrong} in ${kind}` };
    // Checked just now.
    texts[kind] = entry as NoticeText;
  }
  return { texts };
}

function wrongIn(entry: unknown): string | undefined {
  if (!isMapping(entry) || Object.keys(entry).toSorted().join() !== "subject,text")
    return "wants subject and text";
  const { subject, text } = entry;
  if (typeof subject !== "string" || typeof text !== "string") return "wants subject and text";
  if (/\p{Cc}/u.test(subject) || subject.trim() === "" || subject.length > 200)
    return "has no one-line subject";
  const known = new Set<string>(placeholders);
  const unknown = [...`${subject}${text}`.matchAll(/\{(\w*)\}/g)].find(([, name = ""]) => !known.has(name));
  return unknown ? `has ${unknown[0]}, which stands for nothing` : undefined;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
