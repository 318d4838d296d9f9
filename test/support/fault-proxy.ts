// A TCP proxy between dirmfa and a directory server that misbehaves at chosen bytes, in either direction.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What happens once a direction has carried `afterBytes`. Several faults of a connection happen in the order of bytes. */
export interface Fault {
  /** Default: what the server sends. */
  direction?: "answers" | "requests";
  afterBytes: number;
  /**
   * `reset`: RST to both sides. `end`: an orderly close. `stall`: nothing more arrives. `delay`: the rest comes `ms` later.
   * `drop`: one byte is lost. `corrupt`: one byte arrives as another.
   */
  kind: "reset" | "end" | "stall" | "delay" | "drop" | "corrupt";
  /** Of a delay. */
  ms?: number;
}

export interface FaultProxy {
  port: number;
  /** ldap:// of the proxy. */
  url: string;
  /** Applied to every connection made from now on. */
  faults: Fault[];
  /** Bytes that the server has sent over the latest connection. */
  bytesSeen: number;
  /** Bytes that the client has sent over it. */
  bytesAsked: number;
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
    proxy.bytesSeen = 0;
    proxy.bytesAsked = 0;
    forward(client, upstream, faultsOf(proxy, "requests"), (bytes) => {
      proxy.bytesAsked += bytes;
    });
    forward(upstream, client, faultsOf(proxy, "answers"), (bytes) => {
      proxy.bytesSeen += bytes;
    });
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A TCP server's address is never a string.
  const { port } = server.address() as AddressInfo;
  const proxy: FaultProxy = {
    port,
    url: `ldap://127.0.0.1:${port}`,
    faults: [],
    bytesSeen: 0,
    bytesAsked: 0,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
  return proxy;
}

function faultsOf({ faults }: FaultProxy, direction: "answers" | "requests"): Fault[] {
  return faults
    .filter((fault) => (fault.direction ?? "answers") === direction)
    .sort((a, b) => a.afterBytes - b.afterBytes);
}

function forward(from: Socket, to: Socket, faults: Fault[], count: (bytes: number) => void): void {
  let passed = 0;
  let isStalled = false;
  const pass = (bytes: Buffer) => {
    if (bytes.length > 0 && to.writable) to.write(bytes);
  };
  from.on("end", () => isStalled || to.end());
  from.on("data", (chunk: Buffer) => {
    count(chunk.length);
    if (!isStalled) take(chunk);
  });

  function take(chunk: Buffer): void {
    const [fault] = faults;
    if (fault === undefined || passed + chunk.length <= fault.afterBytes) {
      passed += chunk.length;
      pass(chunk);
      return;
    }
    faults.shift();
    const at = Math.max(0, fault.afterBytes - passed);
    pass(chunk.subarray(0, at));
    passed += at;
    suffer(fault, chunk.subarray(at));
  }

  function suffer(fault: Fault, rest: Buffer): void {
    if (fault.kind === "reset") {
      to.resetAndDestroy();
      from.resetAndDestroy();
    } else if (fault.kind === "end") {
      to.end();
      from.destroy();
    } else if (fault.kind === "stall") {
      isStalled = true;
    } else if (fault.kind === "delay") {
      from.pause();
      setTimeout(() => {
        take(rest);
        from.resume();
      }, fault.ms ?? 0);
    } else if (fault.kind === "drop") {
      take(rest.subarray(1));
    } else {
      const wrong = Buffer.from(rest);
      wrong[0] = (wrong[0] ?? 0) ^ 0x20;
      take(wrong);
    }
  }
}
