// A TCP proxy between dirmfa and a directory server that misbehaves at a chosen byte of the server's answers.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What happens to the connection once the server has sent `afterBytes`. */
export interface Fault {
  afterBytes: number;
  /** `reset`: RST to both sides. `end`: an orderly close. `stall`: nothing more arrives. */
  kind: "reset" | "end" | "stall";
}

export interface FaultProxy {
  url: string;
  /** Applies to every connection made from now on; undefined lets everything pass. */
  fault: Fault | undefined;
  /** Bytes that the server has sent over the latest connection. */
  bytesSeen: number;
  close(): Promise<void>;
}

export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(targetPort, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    }
    client.pipe(upstream);
    forward(upstream, client, proxy);
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A TCP server's address is never a string.
  const { port } = server.address() as AddressInfo;
  const proxy: FaultProxy = {
    url: `ldap://127.0.0.1:${port}`,
    fault: undefined,
    bytesSeen: 0,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
  return proxy;
}

function forward(upstream: Socket, client: Socket, proxy: FaultProxy): void {
  const { fault } = proxy;
  let left = fault?.afterBytes ?? Number.POSITIVE_INFINITY;
  proxy.bytesSeen = 0;
  upstream.on("data", (chunk: Buffer) => {
    proxy.bytesSeen += chunk.length;
    client.write(chunk.subarray(0, Math.max(0, left)));
    left -= chunk.length;
    if (left >= 0) return;
    if (fault?.kind === "reset") {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    } else if (fault?.kind === "end") {
      client.end();
      upstream.destroy();
    }
  });
}
