// What a channel answers to one notice, and what the outbox makes of it. Types only.

import type { Notice } from "./notice.ts";

/**
 * `delivered`; `refused` for good, as an address that does not exist; `failed` for now; `away` when the channel itself does not
 * answer, so that the next notice need not be tried. `error` holds no secret and no text of a message.
 */
export type Delivery = { outcome: "delivered" } | { outcome: "refused" | "failed" | "away"; error: string };

/** One round's connection to where notices go. */
export interface Channel {
  deliver(notice: Notice): Promise<Delivery>;
  close(): void;
}
