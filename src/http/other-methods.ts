// 405 for every address that exists with another method; fastify alone would say 404.

import type { App } from "./app-type.ts";
import { ProblemAnswer, sendProblem } from "./problems.ts";

/** Collects the methods of each address; the function returned answers all other ones with 405 and Allow. */
export function noteMethods(app: App): () => void {
  const methodsOf = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ url, method }) => {
    const methods = methodsOf.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    methodsOf.set(url, methods);
  });
  return () => {
    for (const [url, known] of [...methodsOf]) {
      const allow = [...known].sort().join(", ");
      app.route({
        method: ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"].filter(
          (method) => !known.has(method),
        ),
        url,
        schema: { hide: true },
        config: { scope: "open" },
        onRequest: async (request, reply) => {
          reply.header("allow", allow);
          return sendProblem(request, reply, { code: "method-not-allowed" });
        },
        handler: async () => {
          throw new ProblemAnswer({ code: "method-not-allowed" });
        },
      });
    }
  };
}
