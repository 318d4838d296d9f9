// Sealed events as JSON lines for a SIEM, in the order of their seals. Pure.

import type { SealedEvent } from "./chain.ts";

/**
 * A line each, every one with its position: positions follow each other without a gap, and a line that comes again has the same
 * one. Where positions are missing, because retention has cut them off before they were streamed, a line says so.
 */
export function streamLines(after: string, batch: readonly SealedEvent[]): string {
  let last = BigInt(after);
  let lines = "";
  for (const { seal, event } of batch) {
    const position = BigInt(seal.position);
    if (position > last + 1n) {
      lines += lineOf({
        type: "audit-gap",
        firstPosition: String(last + 1n),
        lastPosition: String(position - 1n),
      });
    }
    last = position;
    const { sealedAt, chainMac } = seal;
    const sealed = { position: seal.position, sealedAt, chainMac: chainMac.toString("hex") };
    // Sealed once, and gone: somebody has deleted it.
    if (event === undefined) lines += lineOf({ type: "audit-missing", ...sealed, id: seal.eventId });
    else lines += lineOf({ type: "audit", ...sealed, ...event, details: JSON.parse(event.details) });
  }
  return lines;
}

/** Line separators that JSON lets through are written as escapes: some readers end a line there. */
function lineOf(value: object): string {
  return `${JSON.stringify(value).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")}\n`;
}
