// Attribute values to text: strict UTF-8 without NUL, which PostgreSQL cannot store. Pure.

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Undefined for bytes that are not UTF-8, or hold a NUL. A byte order mark stays: it is part of the value. */
export function decodeText(bytes: Buffer, start = 0, end = bytes.length): string | undefined {
  let highest = 0;
  for (let index = start; index < end; index += 1) {
    const byte = bytes[index] ?? 0;
    if (byte === 0) return undefined;
    highest |= byte;
  }
  // Almost all values are ASCII, which needs no decoder.
  if (highest < 0x80) return bytes.toString("latin1", start, end);
  try {
    return strictUtf8.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}

/** For messages only: bad bytes become U+FFFD, controls go, and the length is bounded. */
export function describeBytes(bytes: Buffer): string {
  // Long enough for any real DN; a longer one is of no help to a reader.
  const longest = 1024;
  const text = bytes
    .subarray(0, longest)
    .toString("utf8")
    .replace(/\p{Cc}/gu, "\ufffd");
  return bytes.length > longest ? `${text}…` : text;
}

/** Server text for a message: one line, printable, and too short to flood a log. */
export function printable(text: string): string {
  const line = text.replace(/[\p{C}\s]+/gu, " ").trim();
  // A directory's diagnostics fit in 200 characters; what is longer is a dump.
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
