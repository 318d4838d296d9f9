// A user's authenticator app, played by oathtool: codes by a program that is not ours, each used once.

import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { ensureServers } from "../../scripts/servers/install-servers.ts";
import { noteCode, noteSecret } from "./kept-logs.ts";

const periodMs = 30_000; // RFC 6238, as every app has it
const windowSteps = 1; // dirmfa's default

export interface Phone {
  secret: string;
  /**
   * A code that has not been used: the oldest that is accepted now, so that three are there without waiting. Waits for a fourth.
   */
  code(): Promise<string>;
}

/** `secret` in base32, as shown to the user. */
export async function phoneWith(secret: string): Promise<Phone> {
  const { oathtool } = await ensureServers(["oathtool"]);
  if (oathtool === undefined) throw new Error("no oathtool among the programs found");
  noteSecret(secret);
  let lastStep = 0;
  return {
    secret,
    async code() {
      // Counted 3 s ahead, as the code must still be good when it arrives.
      const earliest = Math.floor((Date.now() + 3_000) / periodMs) - windowSteps;
      lastStep = Math.max(earliest, lastStep + 1);
      await sleep(Math.max(0, (lastStep - windowSteps) * periodMs - Date.now()));
      const at = `--now=@${(lastStep * periodMs) / 1000}`;
      const code = (await promisify(execFile)(oathtool, ["--totp", "--base32", at, secret])).stdout.trim();
      noteCode(code);
      return code;
    },
  };
}
