// The console's own listener: where it listens, TLS, another application in its place after a reload, and its end.

import { createServer, type Server } from "node:http";
import { Server as TlsServer } from "node:https";
import { addressOf, bind, createNodeServer, defaultHttpLimits, type OnRequest } from "../http/listeners.ts";
import { requireUsableCertificate, tlsOptionsOf } from "../http/server-certificate.ts";
import type { UnixSocket } from "../http/unix-socket.ts";
import { createConsoleApp } from "./console-app.ts";
import type { ConsoleDeps } from "./deps.ts";
import { createSignInLimits } from "./sign-in-routes.ts";
import type { ConsoleRoute } from "./site.ts";

export interface ConsoleServer {
  /** Every route with who may ask, for tests. */
  readonly routes: readonly ConsoleRoute[];
  /** Resolves with where it listens: `http://127.0.0.1:8422`, `https://…` or `unix:/run/dirmfa-console.sock`. */
  listen(): Promise<string>;
  /** Makes another application for the same socket, and gives back what lets it answer from then on. */
  prepare(deps: ConsoleDeps): Promise<() => void>;
  /** Takes no new connection, and lets running requests end for a while. */
  close(): Promise<void>;
}

const tlsKey = "console.tls";

/** Builds it all; nothing listens yet. Throws AppError `invalid-config` for a certificate that cannot be used. */
export async function createConsoleServer(deps: ConsoleDeps): Promise<ConsoleServer> {
  const { listen, tls } = deps.config.console;
  if (tls) requireUsableCertificate(tls, tlsKey);
  const limits = createSignInLimits(deps.verification.clock);
  const sockets: UnixSocket[] = [];
  let answer: OnRequest | undefined;
  let server: Server | undefined;
  const { app, routes } = await createConsoleApp(deps, limits, (onRequest) => {
    answer = onRequest;
    server = createNodeServer(tls, defaultHttpLimits, (request, response) => answer?.(request, response));
    return server;
  });
  return {
    routes,
    async listen() {
      const unix = await bind(listen, sockets, (to) => app.listen({ ...to, listenTextResolver: () => "" }));
      return unix ?? addressOf(app.server, tls ? "https" : "http");
    },
    async prepare(next) {
      let nextAnswer: OnRequest | undefined;
      // A server that never listens: fastify wants one, and the socket has its own.
      await createConsoleApp(next, limits, (onRequest) => {
        nextAnswer = onRequest;
        return createServer();
      });
      const nextTls = next.config.console.tls;
      if (nextTls) requireUsableCertificate(nextTls, tlsKey);
      return () => {
        if (nextTls && app.server instanceof TlsServer) app.server.setSecureContext(tlsOptionsOf(nextTls));
        answer = nextAnswer;
      };
    },
    async close() {
      const cut = setTimeout(() => server?.closeAllConnections(), defaultHttpLimits.drainMs);
      try {
        for (const socket of sockets) await socket.remove();
        await app.close();
      } finally {
        clearTimeout(cut);
      }
    },
  };
}
