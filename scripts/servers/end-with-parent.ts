// Ties a server's life to the process that starts it, so that a killed test run or demo leaves no server behind.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const setpriv = "/usr/bin/setpriv";

/**
 * The command line that runs `command` so that it gets SIGTERM when this process ends, however it ends. Linux can do that;
 * elsewhere the command comes back as it is. The pid is that of `command` in both cases.
 */
export function endingWithParent(command: readonly [string, ...string[]]): [string, ...string[]] {
  return existsSync(setpriv) ? [setpriv, "--pdeathsig", "TERM", ...command] : [...command];
}

/** The living process that a pid file names, if its command line contains `mark`; undefined otherwise. */
export function processInPidFile(path: string, mark: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, "utf8"));
    if (!Number.isInteger(pid) || pid <= 1) return undefined;
    const command = execFileSync("ps", ["-ww", "-o", "args=", "-p", String(pid)], { encoding: "utf8" });
    return command.includes(mark) ? pid : undefined;
  } catch {
    return undefined; // no such file, or ps ended with 1: no such process
  }
}
