// What of a configuration that was read again can be taken over while the daemon runs, and what waits for a restart. Pure.
// It stands beside daemon.ts: only that file knows what it can exchange while it runs.

import { isDeepStrictEqual } from "node:util";
import type { Config } from "./config/config.ts";

const keptUntilRestart: readonly { key: string; of(config: Config): unknown }[] = [
  { key: "database", of: ({ database }) => database },
  { key: "keys.folder", of: ({ keys }) => keys.folder },
  { key: "audit.headFolder", of: ({ audit }) => audit.headFolder },
  { key: "audit.stream", of: ({ audit }) => audit.stream },
  { key: "http.listen", of: ({ http }) => http.listen },
  { key: "http.metricsListen", of: ({ http }) => http.metricsListen },
  // The certificate and its key are taken over; TLS itself and whose certificates callers must have are not.
  { key: "http.tls", of: ({ http }) => http.tls && { clientCaPem: http.tls.clientCaPem } },
  { key: "console.listen", of: ({ console }) => console?.listen },
  { key: "console.tls", of: ({ console }) => console?.tls !== undefined },
];

/** The keys whose new values wait for a restart; never the values. */
export function keysForRestart(running: Config, read: Config): string[] {
  return keptUntilRestart.filter(({ of }) => !isDeepStrictEqual(of(running), of(read))).map(({ key }) => key);
}

/** What was read, with the parts in it that cannot change while a daemon runs. */
export function takenOver(running: Config, read: Config): Config {
  const { listen, metricsListen, tls } = running.http;
  const waiting = keysForRestart(running, read);
  const sameTls = !waiting.includes("http.tls");
  const console = consoleTakenOver(running.console, read.console);
  return {
    ...read,
    database: running.database,
    keys: running.keys,
    audit: running.audit,
    console,
    http: { ...read.http, listen, metricsListen, tls: sameTls ? read.http.tls : tls },
  };
}

/** Roles count at once, even where the rest waits: whoever lost theirs must not keep it for that. Without roles nobody has any. */
function consoleTakenOver(running: Config["console"], read: Config["console"]): Config["console"] {
  if (!running) return undefined;
  if (!read) return { ...running, roles: { admin: [], helpDesk: [], auditor: [] } };
  const sameTls = (running.tls === undefined) === (read.tls === undefined);
  return {
    ...read,
    listen: running.listen,
    ...(sameTls ? {} : { tls: running.tls, cookieSecure: running.cookieSecure }),
  };
}
