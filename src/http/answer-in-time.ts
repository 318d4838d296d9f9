// Bounds every answer in time, and tells the flows when nobody waits for theirs any more.
//
// Not the time-out and the signal that fastify has: both end with the request's `close` event, which Node emits as soon as the
// body was read, so that the time-out is off and the signal is on before a handler with a body begins.

import type { FastifyReply, FastifyRequest } from "fastify";
import { givenUp } from "../verification/waiting-caller.ts";
import type { App } from "./app-type.ts";
import { lateAnswer } from "./problems.ts";

/**
 * Every request gets `waiting`: aborted when its connection closes before the answer, or `answerMs` after its headers. A handler
 * that has not answered then is answered for with 503, whatever it is waiting for. Call it before routes are added.
 */
export function answerInTime(app: App, answerMs: number): void {
  app.decorateRequest("waiting");
  app.addHook("onRequest", (request, reply, done) => {
    request.waiting = waitingOf(reply, answerMs);
    done();
  });
  app.addHook("onRoute", (route) => {
    const { handler } = route;
    route.handler = async function (request, reply) {
      return orAbort(request, handler.call(this, request, reply));
    };
  });
}

function waitingOf(reply: FastifyReply, answerMs: number): AbortSignal {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(lateAnswer()), answerMs);
  reply.raw.once("close", () => {
    clearTimeout(timer);
    if (!reply.raw.writableFinished) controller.abort(givenUp());
  });
  return controller.signal;
}

async function orAbort<Answer>(
  { waiting }: FastifyRequest,
  answer: Answer | Promise<Answer>,
): Promise<Answer> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(waiting.reason);
  waiting.addEventListener("abort", onAbort);
  try {
    waiting.throwIfAborted();
    return await Promise.race([answer, aborted]);
  } finally {
    waiting.removeEventListener("abort", onAbort);
  }
}
