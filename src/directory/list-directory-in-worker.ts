// Entry of the listing's thread: lists the directory of an order and posts the pages, two ahead of the reader at most, one order
// after the other.
// What a hostile or broken server sends is decoded here and nowhere else, apart from the thread that answers sign-ins.

import { type MessagePort, parentPort } from "node:worker_threads";
import { AppError } from "../errors.ts";
import { listChangesOnce } from "./list-changes.ts";
import { listOnce } from "./list-session.ts";
import {
  aliveEveryMs,
  type FromWorker,
  type ListingOrder,
  packError,
  pagesInFlight,
  type ToWorker,
} from "./listing-messages.ts";

if (parentPort !== null) answerOrders(parentPort);

function answerOrders(port: MessagePort): void {
  let credit = createCredit();
  port.on("message", (message: ToWorker) => {
    if (message.kind === "taken") {
      credit.add();
      return;
    }
    // Pages of the order before have all been taken, and their credit went with it.
    credit = createCredit();
    void answerOrder(port, message.order, credit);
  });
}

async function answerOrder(port: MessagePort, order: ListingOrder, credit: Credit): Promise<void> {
  const post = (message: FromWorker) => port.postMessage(message);
  const alive = setInterval(() => post({ kind: "alive" }), aliveEveryMs);
  const deadline = new AbortController();
  const { listingMs } = order.directory.timeouts;
  const timer = setTimeout(() => deadline.abort(listingTimeout(listingMs)), listingMs);
  try {
    const list = order.since === undefined ? listOnce : listChangesOnce;
    const report = await list(
      order,
      {
        onPage: async (page) => {
          await credit.spend();
          post({ kind: "page", page });
        },
        onNote: (note) => post({ kind: "note", note }),
      },
      deadline.signal,
    );
    post({ kind: "done", report });
  } catch (error) {
    post({ kind: "failed", error: packError(error) });
  } finally {
    clearInterval(alive);
    clearTimeout(timer);
  }
}

interface Credit {
  add(): void;
  /** Resolves when another page may be sent. */
  spend(): Promise<void>;
}

function createCredit(): Credit {
  let credit = pagesInFlight;
  let wake: (() => void) | undefined;
  return {
    add() {
      credit += 1;
      wake?.();
    },
    async spend() {
      while (credit === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      credit -= 1;
    },
  };
}

function listingTimeout(listingMs: number): AppError {
  return new AppError("directory-timeout", `the listing did not end within ${listingMs / 1000} s`, {
    remedy:
      "Raise timeouts.listing if the directory is that large or slow; otherwise look for a server that never ends.",
  });
}
