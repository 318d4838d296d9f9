// Full and incremental runs at random over each kind of server, which is restarted, killed and restored meanwhile (rules 4 and 25): see what
// must hold in test/support/random-servers.ts. RANDOM_SEED sets the first seed, which is printed, and RANDOM_ROUNDS how many rounds are done.

import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import {
  type DirectoryUnderTest,
  startActiveDirectory,
  startOpenLdap,
  startThreeEightNine,
} from "../../scripts/servers/directory-under-test.ts";
import { runServerRounds, serverMatters } from "../support/random-servers.ts";

// One to four seconds each, of which most are the server's own starts and ends; more of them by hand.
const rounds = Number(process.env.RANDOM_ROUNDS ?? 12);

const servers: [string, () => Promise<DirectoryUnderTest>][] = [
  ["OpenLDAP", () => startOpenLdap({ overlays: ["ppolicy", "syncprov"] })],
  ["389-ds", startThreeEightNine],
  ["Samba", startActiveDirectory],
];

test.each(servers)(
  "%s: a full run makes the store what the directory is, and nothing else removes anybody",
  async (_name, start) => {
    const seed = Number(process.env.RANDOM_SEED ?? randomInt(1, 1_000_000_000));
    console.log(`RANDOM_SEED=${seed}`);
    const server = await start();
    try {
      const { seen } = await runServerRounds(server, { seed, rounds, endsAt: Number.POSITIVE_INFINITY });
      console.log(JSON.stringify(seen));
      // What did not come up was not tried; in fewer rounds not everything does.
      if (rounds >= 40) expect(serverMatters.filter((name) => !seen[name])).toEqual([]);
    } finally {
      await server.stop();
    }
  },
  900_000,
);
