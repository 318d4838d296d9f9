// The slapd process: finds ports, starts it and waits until it answers, ends it for certain.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endingWithParent } from "./end-with-parent.ts";
import { accepts, freePort } from "./ports.ts";

export interface SlapdLaunch {
  binary: string;
  /** Holds slapd.conf; slapd.pid, slapd.log and the chosen ports go into it. */
  folder: string;
  withTls: boolean;
}

export interface SlapdPorts {
  port: number;
  /** 0 without TLS. */
  ldapsPort: number;
}

/** Starts slapd on the ports that the folder had before, or on free ones. */
export async function launchSlapd(launch: SlapdLaunch): Promise<{ child: ChildProcess; ports: SlapdPorts }> {
  const portsFile = join(launch.folder, "ports.json");
  const kept = await readFile(portsFile, "utf8").catch(() => undefined);
  let ports: SlapdPorts = kept === undefined ? await freePorts(launch) : JSON.parse(kept);
  // Another process can take a port between choosing and binding it, hence some tries.
  for (let left = 5; ; left -= 1) {
    try {
      const child = await spawnSlapd(launch, ports);
      await writeFile(portsFile, JSON.stringify(ports));
      return { child, ports };
    } catch (error) {
      if (left === 0 || !/daemon_init|bind\(/.test(String(error))) throw error;
      ports = await freePorts(launch);
    }
  }
}

/** Resolves when slapd accepts connections. Throws with its own words when it ends instead. */
export async function spawnSlapd(
  launch: SlapdLaunch,
  { port, ldapsPort }: SlapdPorts,
): Promise<ChildProcess> {
  const urls = [`ldap://127.0.0.1:${port}`, ...(launch.withTls ? [`ldaps://127.0.0.1:${ldapsPort}`] : [])];
  const pidFile = join(launch.folder, "slapd.pid");
  await rm(pidFile, { force: true });
  const logFile = join(launch.folder, "slapd.log");
  const log = openSync(logFile, "w", 0o600);
  const configFile = join(launch.folder, "slapd.conf");
  // -d keeps it in the foreground, and `none` logs what is always logged.
  const serve = [launch.binary, "-d", "none", "-h", urls.join(" "), "-f", configFile] as const;
  const [command, ...rest] = endingWithParent([...serve]);
  const child = spawn(command, rest, { stdio: ["ignore", log, log] });
  closeSync(log);
  let failure: Error | undefined;
  child.once("error", (error) => {
    failure = error;
  });
  // slapd writes its pid once its ports are bound and its database is open, and listens a moment later.
  const pidIn = async () => (await readFile(pidFile, "utf8").catch(() => "")).trim();
  while ((await pidIn()) !== String(child.pid) || !(await accepts(port))) {
    if (failure !== undefined || hasEnded(child)) {
      const said = await readFile(logFile, "utf8");
      throw new Error(`slapd did not start: ${said.trim()}`, { cause: failure });
    }
    await sleep(5);
  }
  return child;
}

/** Resolves when the process has ended, by itself or not. */
export async function endOf(child: ChildProcess): Promise<void> {
  if (!hasEnded(child)) await once(child, "exit");
}

/** Resolves when the process is gone. */
export async function endSlapd(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (hasEnded(child)) return;
  const gone = endOf(child);
  child.kill("SIGCONT"); // a test may have stopped it
  child.kill(signal);
  // slapd waits for its clients' operations; five seconds are far more than a test leaves open.
  const force = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await gone;
  clearTimeout(force);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function freePorts(launch: SlapdLaunch): Promise<SlapdPorts> {
  return { port: await freePort(), ldapsPort: launch.withTls ? await freePort() : 0 };
}
