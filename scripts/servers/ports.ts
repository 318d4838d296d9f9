// Ports on this machine for the private servers: finds free ones, and tells whether a server listens.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Whether something takes connections there. */
export async function accepts(port: number, address = "127.0.0.1"): Promise<boolean> {
  const socket = connect(port, address);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Below the range from which kernels take ports for outgoing connections, so that a restart finds its port free again. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
