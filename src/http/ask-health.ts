// Asks the daemon of this machine whether it lives, wherever it listens: TCP, TLS or a Unix socket.

import { request } from "node:http";
import { request as requestTls } from "node:https";
import type { HttpConfig, ListenAddress } from "../config/config.ts";

// A process that lives answers in milliseconds; container platforms give a health check a few seconds in all.
const timeoutMs = 3_000;

/**
 * True when a dirmfa answers at `path` of this listener: the console has no /healthz, but a page for everybody. The certificate is not checked: it is the same machine, nothing is sent, and
 * the certificate is for other names. Where callers need a client certificate, being asked for one is the answer.
 */
export function askHealth(
  { listen, tls }: Pick<HttpConfig, "listen" | "tls">,
  path = "/healthz",
): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { ...targetOf(listen), path, timeout: timeoutMs, agent: false } as const;
    const asked = tls ? requestTls({ ...options, rejectUnauthorized: false }) : request(options);
    asked.once("timeout", () => asked.destroy());
    asked.once("error", (error) => resolve(tls?.clientCaPem !== undefined && isAskedForCertificate(error)));
    asked.once("response", (response) => {
      response.resume();
      // Our routes answer so; a web server's page at that path would not.
      resolve(response.statusCode === 200 && response.headers["cache-control"] === "no-store");
    });
    asked.end();
  });
}

function targetOf(listen: ListenAddress) {
  if (listen.kind === "unix") return { socketPath: listen.path };
  const everywhere: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  return { host: everywhere[listen.host] ?? listen.host, port: listen.port };
}

/** TLS 1.3 says it with an alert, older versions by breaking the handshake off. */
function isAskedForCertificate(error: Error): boolean {
  const code = "code" in error ? String(error.code) : "";
  return /CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/.test(code);
}
