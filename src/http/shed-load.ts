// More requests at once than can be answered soon are refused at once, before anything of them is looked at: who is refused can
// ask another replica, and who is let in is answered before the login page gives up.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Metrics } from "./metrics.ts";
import { problemBody, problemKinds } from "./problems.ts";
import { requestIdOf } from "./request-id.ts";

type OnRequest = (request: IncomingMessage, response: ServerResponse) => void;

// An overloaded replica must not look dead to whoever restarts it.
const alwaysAnswered = ["/healthz", "/readyz", "/metrics"];

/** A second from now most of those that are being answered are done. */
const retryAfterSeconds = 1;

/** Lets `most` requests in at the same time. */
export function shedLoad(
  onRequest: OnRequest,
  { most, metrics }: { most: number; metrics: Pick<Metrics, "observeRequest"> },
): OnRequest {
  let underWay = 0;
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    if (alwaysAnswered.includes(path)) return onRequest(request, response);
    if (underWay >= most) {
      metrics.observeRequest(request.method ?? "", "shed", problemKinds.unavailable.status, 0);
      return refuse(request, response);
    }
    underWay += 1;
    response.once("close", () => {
      underWay -= 1;
    });
    return onRequest(request, response);
  };
}

function refuse(request: IncomingMessage, response: ServerResponse): void {
  const requestId = requestIdOf(request.headers["x-request-id"]);
  const detail = "Too many requests at once.";
  const body = problemBody({ code: "unavailable", detail, retryAfterSeconds }, requestId);
  response
    .writeHead(problemKinds.unavailable.status, {
      "content-type": "application/problem+json",
      "content-length": Buffer.byteLength(body),
      "retry-after": String(retryAfterSeconds),
      "x-request-id": requestId,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    })
    .end(body);
}
