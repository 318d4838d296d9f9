// Rotates the sealing keys in a separate process, for tests that kill it. Arguments: database URL, key folder, key id.
// Prints a line after its first batch and stands still, so that it is killed there however busy the machine is.

import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { rotateKeys } from "../../src/sealing/rotate-keys.ts";
import { openDatabase } from "../../src/store/database.ts";

const [url = "", folder = "", to] = process.argv.slice(2);
const log = pino({ level: "silent" });
const { db, close } = await openDatabase({ kind: "postgres", url, poolSize: 2 }, { log, owner: false });
await rotateKeys(
  { db, folder, log, randomBytes },
  {
    to,
    actor: { name: "child", via: "cli" },
    onProgress: (resealed) => {
      process.stdout.write(`${resealed}\n`);
      process.kill(process.pid, "SIGSTOP");
    },
  },
);
await close();
