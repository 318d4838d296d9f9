// A copy of a directory server's data, made and brought back while the server is stopped, as an admin who has nothing better restores a
// backup: the server's numbers of changes go back with it, and it keeps the id that it had.

import { rm } from "node:fs/promises";
import { run } from "./ldap-tools.ts";

export interface DataCopy {
  /** Keeps what there is now; what was kept before is gone. The server is stopped meanwhile. */
  backUp(): Promise<void>;
  /** The data is what it was at the last backUp(). The server is stopped meanwhile. */
  restore(): Promise<void>;
}

/** `folder` holds all that the server writes. `whileStopped` stops the server, does the work, and starts it again. */
export function dataCopyOf(
  folder: string,
  whileStopped: (work: () => Promise<void>) => Promise<void>,
): DataCopy {
  const kept = `${folder}.kept`;
  const copy = async (from: string, to: string) => {
    await rm(to, { recursive: true, force: true });
    await run("cp", ["-a", from, to]); // owners and modes too, which Node's own copy leaves out
  };
  return {
    backUp: () => whileStopped(() => copy(folder, kept)),
    restore: () => whileStopped(() => copy(kept, folder)),
  };
}
