// What `check` asks of the listeners: could the daemon listen there? Leaves nothing behind.

import { createServer } from "node:net";
import type { ListenAddress } from "../config/config.ts";
import { tryUnixSocket } from "./unix-socket.ts";

/**
 * `free`, or `served`: a dirmfa is running there, as `isServed` finds out of an address that is taken. Everything that would stop
 * the listener is thrown as a start would.
 */
export async function tryListening(
  address: ListenAddress,
  isServed: () => Promise<boolean>,
): Promise<"free" | "served"> {
  try {
    await (address.kind === "unix" ? tryUnixSocket(address.path) : bindOnce(address));
    return "free";
  } catch (error) {
    if (await isServed()) return "served";
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
