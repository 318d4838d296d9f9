// A notice as the subject and the text of a mail. What comes from the directory is cleaned before it goes in. Pure.

import type { MailConfig } from "../config/config.ts";
import type { Notice } from "./notice.ts";

export type MailWords = MailConfig["words"];

export interface MailText {
  subject: string;
  text: string;
}

/** Lines as mail wants them; no control character in the subject, whatever a username holds. */
export function mailTextOf(notice: Notice, words: MailWords): MailText {
  const wording = words.texts[notice.kind];
  if (!wording) throw new Error(`there is no text for notices of the kind ${notice.kind}`);
  const values = valuesOf(notice, words);
  const fill = (text: string) => text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
  return { subject: cleaned(fill(wording.subject), 200), text: `${fill(wording.text).trimEnd()}\n` };
}

function valuesOf({ user, directory, facts }: Notice, words: MailWords): Record<string, string> {
  const values: Record<string, string> = {
    username: cleaned(user?.username ?? "", 64),
    organization: cleaned(words.organization, 64),
    help: words.help,
    directory: cleaned(directory ?? "", 64),
  };
  for (const [name, value] of Object.entries(facts)) {
    if (Object.hasOwn(values, name)) continue;
    values[name] = isTime(value) ? timeText(value, words) : cleaned(String(value ?? "-"), 100);
  }
  return values;
}

/** Without what ends a line, turns text around or hides in it; a link is no link any more. */
function cleaned(text: string, maxLength: number): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").replaceAll("://", ":/ /");
  return plain.length > maxLength ? `${plain.slice(0, maxLength - 1)}…` : plain;
}

function isTime(value: unknown): value is string {
  return typeof value === "string" && /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}/.test(value);
}

function timeText(value: string, { language, timeZone }: MailWords): string {
  const locale = language === "de" ? "de-DE" : "en-GB";
  return new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "short", timeZone }).format(
    new Date(value),
  );
}
