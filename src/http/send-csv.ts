// Answering with CSV, record by record: a list of any length takes no more memory than a page of it.

import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { ProblemAnswer } from "./problems.ts";

/**
 * Sends what `records` yields as it comes. An error in the middle cuts the connection, so that nobody takes half a list for a
 * whole one: over HTTP/1.1 the end of the last chunk is missing then.
 */
export function sendCsv(reply: FastifyReply, fileName: string, records: AsyncIterable<string>) {
  // The schema of the answer describes its JSON; what is a stream goes out as it is.
  return reply
    .type("text/csv; charset=utf-8; header=present")
    .header("content-disposition", `attachment; filename="${fileName}"`)
    .send(Readable.from(records) as never);
}

export function pagesOfCsv(): ProblemAnswer {
  return new ProblemAnswer({
    code: "invalid-request",
    detail: 'CSV comes without pages: leave "limit", "cursor" and "order" out.',
  });
}
