// Reads one file that the configuration names, and says what is wrong with it. Never shows what is in it.

import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { parsePostgresUrl } from "../postgres-url.ts";
import { databaseUrlWarning } from "./database-url.ts";
import { parseNoticeTexts } from "./notice-texts.ts";
import type { FileReference } from "./parse-config.ts";
import type { Problem } from "./problems.ts";
import { parseWebhookKey } from "./webhook-key.ts";

// The CA bundle of a system has 250 KB; more is a wrong file.
const maxFileBytes = 1024 * 1024;
// Permission bit: readable for everyone on this machine. A group may read, since root often keeps passwords for a service's group.
const readableForAll = 0o004;

export interface ReferencedFile {
  /** Undefined when there are problems. */
  content: string | undefined;
  problems: Problem[];
  warnings: Problem[];
}

export async function readReferencedFile(reference: FileReference): Promise<ReferencedFile> {
  const { key, path, content, line, column } = reference;
  const tell = (what: string): Problem[] => [{ line, column, what: `${key}: ${path} ${what}` }];
  let bytes: Buffer;
  let mode: number;
  try {
    const found = await stat(path);
    // A pipe or device could keep the start waiting for ever.
    if (!found.isFile()) return { content: undefined, problems: tell("is not a file"), warnings: [] };
    mode = found.mode;
    bytes = await readFileUpTo(path, maxFileBytes + 1);
  } catch (cause) {
    return { content: undefined, problems: tell(`cannot be read: ${readFailure(cause)}`), warnings: [] };
  }
  const isSecret = content !== "certificates" && content !== "notice-texts";
  const warnings =
    isSecret && (mode & readableForAll) !== 0
      ? tell("holds a secret and everyone on this machine can read it; chmod 600 keeps it to its owner")
      : [];
  const wrong = whatIsWrong(reference, bytes);
  if (wrong !== undefined) return { content: undefined, problems: tell(wrong), warnings };
  const text = bytes.toString("utf8");
  const hurts = key === "database.urlFile" ? databaseUrlWarning(withoutLineEnd(text)) : undefined;
  if (hurts !== undefined) warnings.push(...tell(`names ${hurts}`));
  return { content: content === "secret" ? withoutLineEnd(text) : text, problems: [], warnings };
}

function whatIsWrong(reference: FileReference, bytes: Buffer): string | undefined {
  if (bytes.length > maxFileBytes) return "is larger than 1 MiB";
  if (!isUtf8(bytes)) return "is not UTF-8 text";
  const text = withoutLineEnd(bytes.toString("utf8"));
  if (text === "") return "is empty";
  if (reference.content === "certificates" && !text.includes("-----BEGIN CERTIFICATE-----")) {
    return "has no PEM certificate in it";
  }
  if (reference.content === "private-key") return whatIsWrongWithKey(text);
  if (reference.content === "webhook-key" && parseWebhookKey(text) === undefined) {
    return "holds no key: wanted 24 to 64 bytes in base64, as `openssl rand -base64 32` prints";
  }
  if (reference.content === "notice-texts") {
    const parsed = parseNoticeTexts(text);
    if ("wrong" in parsed) return parsed.wrong;
  }
  // An editor's or template's extra lines would become part of the password.
  if (reference.content === "secret" && /[\r\n]/.test(text)) return "has several lines, wanted one";
  if (reference.key === "database.urlFile" && parsePostgresUrl(text) === undefined) {
    return "holds no postgres://USER@HOST:PORT/DATABASE";
  }
  return undefined;
}

function whatIsWrongWithKey(text: string): string | undefined {
  if (!/-----BEGIN ([A-Z]+ )?PRIVATE KEY-----/.test(text)) return "has no PEM private key in it";
  if (text.includes("BEGIN ENCRYPTED") || text.includes("Proc-Type: 4,ENCRYPTED")) {
    return "has a private key with a passphrase, which dirmfa cannot ask for";
  }
  return undefined;
}

/** Without the line end that editors add, and without the mark that Windows editors put in front. */
function withoutLineEnd(text: string): string {
  return text.replace(/^\ufeff/, "").replace(/\r?\n$/, "");
}

/** At most `bytes` of the file, so that a device or a wrong path cannot fill the memory. */
export function readFileUpTo(path: string, bytes: number): Promise<Buffer> {
  return buffer(createReadStream(path, { end: bytes - 1 }));
}

/** Why a file could not be read, in words. */
export function readFailure(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "this user may not read it";
  if (code === "EISDIR") return "it is a folder";
  if (code === "ENOTDIR") return "a part of the path is not a folder";
  return cause instanceof Error ? cause.message : String(cause);
}
