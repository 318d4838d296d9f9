// The sockets of the HTTP server: where it listens, TLS, limits, and its end. Knows no route but that of the metrics
// listener.

import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer, Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { HttpConfig, HttpTlsConfig, ListenAddress } from "../config/config.ts";
import type { Log } from "../log.ts";
import { createApp } from "./app.ts";
import type { App } from "./app-type.ts";
import type { Authorize } from "./caller-auth.ts";
import type { Metrics } from "./metrics.ts";
import { requireUsableCertificate, tlsOptionsOf } from "./server-certificate.ts";
import { bindUnixSocket, type UnixSocket } from "./unix-socket.ts";

export interface HttpLimits {
  bodyBytes: number;
  headerBytes: number;
  headerCount: number;
  headersMs: number;
  requestMs: number;
  answerMs: number;
  requestsAtOnce: number;
  keepAliveMs: number;
  drainMs: number;
}

export const defaultHttpLimits: HttpLimits = {
  // The largest body is a username of 1,024 characters and a code; this leaves room for escapes.
  bodyBytes: 16 * 1024,
  // A token, an actor and what proxies add; node's default of 16 KiB is more than any of our callers sends.
  headerBytes: 8 * 1024,
  headerCount: 64,
  // A caller is a server nearby: its whole request fits in one packet or few. What is slower is an attack or broken.
  headersMs: 5_000,
  requestMs: 10_000,
  // Documented as 15 s; the user at the login page is gone by then. A busy moment comes on top of it.
  answerMs: 14_500,
  // Done in a second by a replica that answers a thousand a second. The lines at the backup codes hold 560 of them
  // (verification/backup-code-hash.ts), which must not keep TOTP codes out.
  requestsAtOnce: 1_000,
  // Longer than the idle time of usual proxies (60 s), so that they close first and no request meets a closing socket.
  keepAliveMs: 65_000,
  // Within the 30 s that container platforms usually wait before they kill.
  drainMs: 20_000,
};

/** What answers requests; all of it can be replaced while the sockets stay. */
export interface Application {
  authorize: Authorize;
  addRoutes(app: App): void;
  /** The certificate of the main listener. */
  tls: HttpTlsConfig | undefined;
}

export interface ListenersDeps extends Omit<Application, "tls"> {
  config: Omit<HttpConfig, "callers">;
  log: Log;
  metrics: Metrics;
  limits?: Partial<HttpLimits>;
}

export interface HttpServer {
  /** Resolves with where it listens: `http://127.0.0.1:8080`, `https://…` or `unix:/run/dirmfa.sock`. */
  listen(): Promise<{ main: string; metrics: string | undefined }>;
  /**
   * Makes another application for the same sockets, and gives back what lets it answer new requests from then on; those
   * that are running end with the one before. Rejects when the application or its certificate cannot work.
   */
  prepare(application: Application): Promise<() => void>;
  /** Takes no new connection, lets running requests end up to a deadline, and cuts what is left then. */
  close(): Promise<void>;
}

/** Builds it all; nothing listens yet. Throws AppError `invalid-config` for a certificate that cannot be used. */
export async function createListeners(deps: ListenersDeps): Promise<HttpServer> {
  if (deps.config.tls) requireUsableCertificate(deps.config.tls);
  const limits = { ...defaultHttpLimits, ...deps.limits };
  const servers: Server[] = [];
  const sockets: UnixSocket[] = [];
  let draining = false;
  const createTracked = (tls: HttpTlsConfig | undefined, onRequest: OnRequest) => {
    const server = createNodeServer(tls, limits, onRequest);
    servers.push(server);
    return server;
  };
  const createAppOf = (
    { authorize, addRoutes }: Omit<Application, "tls">,
    createServer: (onRequest: OnRequest) => Server,
  ) => {
    const { log, metrics } = deps;
    return createApp(
      { log, authorize, metrics, limits, isDraining: () => draining, createServer },
      addRoutes,
    );
  };
  let answer: OnRequest | undefined;
  const app = await createAppOf(deps, (onRequest) => {
    answer = onRequest;
    return createTracked(deps.config.tls, (request, response) => answer?.(request, response));
  });
  const metricsServer =
    deps.config.metricsListen && createTracked(undefined, answerMetricsAlone(deps.metrics, deps.log));

  return {
    async listen() {
      const main = await bind(deps.config.listen, sockets, (to) =>
        app.listen({ ...to, listenTextResolver: () => "" }),
      );
      const metrics =
        deps.config.metricsListen &&
        metricsServer &&
        (await bind(deps.config.metricsListen, sockets, (to) => listenOn(metricsServer, to)));
      return {
        main: main ?? addressOf(app.server, deps.config.tls ? "https" : "http"),
        metrics: metricsServer && (metrics ?? addressOf(metricsServer, "http")),
      };
    },
    async prepare(application) {
      let next: OnRequest | undefined;
      // A server that never listens: fastify wants one, and the sockets have theirs.
      await createAppOf(application, (onRequest) => {
        next = onRequest;
        return createServer();
      });
      if (application.tls) requireUsableCertificate(application.tls);
      const tls = application.tls && tlsOptionsOf(application.tls);
      return () => {
        if (tls && app.server instanceof TlsServer) app.server.setSecureContext(tls);
        answer = next;
      };
    },
    async close() {
      draining = true;
      const cut = setTimeout(() => {
        deps.log.warn({ drainMs: limits.drainMs }, "requests were still running at the end of the drain");
        for (const server of servers) server.closeAllConnections();
      }, limits.drainMs);
      try {
        for (const socket of sockets) await socket.remove();
        await Promise.all([app.close(), metricsServer && closeServer(metricsServer)]);
      } finally {
        clearTimeout(cut);
      }
    },
  };
}

export type OnRequest = (request: IncomingMessage, response: ServerResponse) => void;

export function createNodeServer(
  tls: HttpTlsConfig | undefined,
  limits: HttpLimits,
  onRequest: OnRequest,
): Server {
  const options: ServerOptions = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    // How often the two time-outs above are looked at; node's default of 30 s would make them meaningless.
    connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
  };
  const server = tls
    ? createTlsServer({ ...options, ...tlsOptionsOf(tls), handshakeTimeout: limits.headersMs }, onRequest)
    : createServer(options, onRequest);
  server.maxHeadersCount = limits.headerCount;
  return server;
}

type BindTo = { path: string } | { host: string; port: number };

/** Returns the address of a Unix socket, undefined for TCP, whose port is known only to the server. */
export async function bind(
  address: ListenAddress,
  sockets: UnixSocket[],
  listen: (to: BindTo) => Promise<unknown>,
): Promise<string | undefined> {
  if (address.kind === "tcp") {
    await listen({ host: address.host, port: address.port });
    return undefined;
  }
  sockets.push(await bindUnixSocket(address.path, (path) => listen({ path })));
  return `unix:${address.path}`;
}

function listenOn(server: Server, to: BindTo): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(to, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve()); // an error only says that it was not listening
    server.closeIdleConnections();
  });
}

export function addressOf(server: Server, scheme: string): string {
  const address = server.address();
  if (address === null || typeof address === "string") return String(address);
  return `${scheme}://${hostOf(address)}:${address.port}`;
}

function hostOf({ address, family }: AddressInfo): string {
  return family === "IPv6" ? `[${address}]` : address;
}

/** The metrics listener knows GET /metrics and nothing else, and asks for no token: it belongs on a private address. */
function answerMetricsAlone(metrics: Metrics, log: Log): OnRequest {
  return (request, response) => {
    request.resume();
    if (request.url !== "/metrics" || (request.method !== "GET" && request.method !== "HEAD")) {
      response.writeHead(404).end();
      return;
    }
    metrics.text().then(
      (text) => response.writeHead(200, { "content-type": metrics.contentType }).end(text),
      (error: unknown) => {
        log.error({ err: error }, "metrics could not be written");
        response.writeHead(500).end();
      },
    );
  };
}
