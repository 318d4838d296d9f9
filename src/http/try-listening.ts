// What `check` asks of the listeners: could the daemon listen there? Leaves nothing behind.

import { createServer } from "node:net";
import type { HttpConfig, ListenAddress } from "../config/config.ts";
import { askHealth } from "./ask-health.ts";
import { tryUnixSocket } from "./unix-socket.ts";

/** `free`, or `served`: a dirmfa is running there. Everything that would stop the listener is thrown as a start would. */
export async function tryListening(
  http: HttpConfig,
  listener: "listen" | "metricsListen",
): Promise<"free" | "served"> {
  const address = http[listener];
  if (address === undefined) return "free";
  try {
    await (address.kind === "unix" ? tryUnixSocket(address.path) : bindOnce(address));
    return "free";
  } catch (error) {
    const here = listener === "listen" ? http : { ...http, listen: address, tls: undefined };
    if (await askHealth(here)) return "served";
    throw error;
  }
}

function bindOnce({ host, port }: ListenAddress & { kind: "tcp" }): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port }, () => server.close(() => resolve()));
  });
}
