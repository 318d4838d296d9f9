// `npm run demo`: a small organization in a private OpenLDAP, dirmfa beside it on the embedded database with its console,
// and the example login service. Keeps its data in .demo/ for the next time, and ends everything that it started.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  configPath,
  type DemoPlace,
  demoPassword,
  demoPeopleLdif,
  printGuide,
  writeDemoConfig,
  writeDemoScripts,
} from "./demo/folder.ts";
import { startLoginService } from "./demo/login-service.ts";
import { createNarrator } from "./demo/narrator.ts";
import { endingWithParent, processInPidFile } from "./servers/end-with-parent.ts";
import { ensureServers } from "./servers/install-servers.ts";
import { ldifEntry } from "./servers/ldif.ts";
import { generateOrganization, organizationOverlays } from "./servers/organization.ts";
import { type Slapd, startSlapd } from "./servers/slapd.ts";

const projectFolder = resolve(import.meta.dirname, "..");
const mainFile = join(projectFolder, "src/main.ts");
const defaultFolder = join(projectFolder, ".demo");

async function runDemo(folder: string, signal: AbortSignal): Promise<void> {
  const isFirst = !existsSync(join(folder, "ldap", "loaded"));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await using started = new AsyncDisposableStack();
  await claimFolder(folder, started);
  await ensureServers(["slapd"]);

  const slapd = await startSlapd({
    folder: join(folder, "ldap"),
    overlays: [...organizationOverlays, "syncprov"],
    ldif: demoLdif(),
  });
  started.defer(() => slapd.stop());
  say(`${isFirst ? "Started" : "Found again"} the organization in a private OpenLDAP at ${slapd.url}`);

  const place = await preparePlace(folder, slapd);
  if ((await readdir(place.keysFolder)).length === 0) await runDirmfa(place, ["key", "generate"], signal);
  await runDirmfa(place, ["migrate"], signal);
  say("The first synchronization:\n");
  await runDirmfa(place, ["sync"], signal);

  const daemon = startDaemon(place);
  started.defer(() => stopDaemon(daemon));
  const daemonEnd = endOf(daemon);
  await waitUntilReady(place, daemonEnd, signal);
  const loginService = await startLoginService(place, slapd);
  started.defer(() => loginService.stop());
  printGuide(place, slapd);
  const ended = await Promise.race([
    daemonEnd.then(() => "dirmfa"),
    slapd.exited().then(() => "OpenLDAP"),
    loginService.exited.then(() => "The login service"),
    aborted(signal).then(() => undefined),
  ]);
  if (ended !== undefined) throw new Error(`${ended} ended; its last words are in ${folder}`);
  say("\nStopping. The data stays; `npm run demo` finds it again.");
}

// The unit that vanishes in the demo goes where dirmfa does not look.
function demoLdif(): string {
  const archive = ldifEntry("ou=archive,dc=example,dc=org", [
    ["objectClass", "organizationalUnit"],
    ["ou", "archive"],
  ]);
  return archive + generateOrganization({ password: demoPassword }).ldif + demoPeopleLdif();
}

/** One demo a folder. What a killed demo left behind does not count: its processes are looked at, not its files. */
async function claimFolder(folder: string, started: AsyncDisposableStack): Promise<void> {
  const pidFile = join(folder, "demo.pid");
  const other = processInPidFile(pidFile, "demo.ts");
  if (other !== undefined && other !== process.pid) {
    throw new Error(`The demo already runs, as process ${other}. Stop that one first.`);
  }
  await writeFile(pidFile, String(process.pid));
  started.defer(() => rm(pidFile, { force: true }));
  await endStaleDaemon(folder);
}

// The daemon of a killed demo is on its way out, where the kernel told it; it gets the time to close its database.
async function endStaleDaemon(folder: string): Promise<void> {
  const find = () => processInPidFile(join(folder, "daemon.pid"), join(folder, "dirmfa.yaml"));
  const first = find();
  if (first === undefined) return;
  process.kill(first, "SIGTERM");
  for (let left = 100; left > 0 && find() !== undefined; left -= 1) await sleep(100); // ten seconds in all
  const last = find();
  if (last !== undefined) process.kill(last, "SIGKILL");
}

async function preparePlace(folder: string, slapd: Slapd): Promise<DemoPlace> {
  // A demo elsewhere, as tests start it, leaves the well-known ports to others.
  const isDefault = folder === defaultFolder;
  const place: DemoPlace = {
    folder,
    keysFolder: join(folder, "keys"),
    mainFile,
    port: await freePort(isDefault ? 8420 : 0), // the port of the documentation, so that its commands fit
    loginPort: await freePort(isDefault ? 8421 : 0), // the login service's own default
    consolePort: await freePort(isDefault ? 8422 : 0),
    loginToken: await tokenIn(join(folder, "login.token")),
    adminToken: await tokenIn(join(folder, "admin.token")),
  };
  await writeDemoConfig(place, slapd);
  await writeDemoScripts(place, slapd);
  return place;
}

async function tokenIn(path: string): Promise<string> {
  if (existsSync(path)) return readFile(path, "utf8");
  const token = randomBytes(32).toString("base64url"); // as `dirmfa token create` makes them
  await writeFile(path, token, { mode: 0o600 });
  return token;
}

/** Runs one dirmfa command in front of the reader. Exit code 3, a held run, is fine: it may be the last demo's. */
async function runDirmfa(place: DemoPlace, args: string[], signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const [command, ...rest] = commandLine(place, args);
  const child = spawn(command, rest, {
    stdio: ["ignore", args[0] === "sync" ? "inherit" : "ignore", "inherit"],
  });
  const stop = () => child.kill("SIGTERM");
  signal.addEventListener("abort", stop);
  const [code] = await once(child, "exit");
  signal.removeEventListener("abort", stop);
  signal.throwIfAborted();
  if (code !== 0 && code !== 3) throw new Error(`dirmfa ${args.join(" ")} ended with ${code}`);
}

function commandLine(place: DemoPlace, args: string[]): [string, ...string[]] {
  return endingWithParent([process.execPath, mainFile, "--config", configPath(place), ...args]);
}

function startDaemon(place: DemoPlace): ChildProcess {
  const [command, ...args] = commandLine(place, ["serve"]);
  // In its own process group: Ctrl-C reaches this script alone, which stops things in order.
  const daemon = spawn(command, args, { detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const logFile = join(place.folder, "daemon.log");
  const narrate = createNarrator(place, (text) => console.log(text));
  const keep = (chunk: Buffer) => void appendFile(logFile, chunk).catch(() => {});
  daemon.stdout?.on("data", (chunk: Buffer) => {
    keep(chunk);
    narrate(chunk.toString());
  });
  daemon.stderr?.on("data", keep);
  void writeFile(join(place.folder, "daemon.pid"), String(daemon.pid));
  return daemon;
}

async function stopDaemon(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const gone = endOf(daemon);
  daemon.kill("SIGTERM");
  const force = setTimeout(() => daemon.kill("SIGKILL"), 10_000); // a run in its last step takes less
  await gone;
  clearTimeout(force);
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

async function waitUntilReady(
  place: DemoPlace,
  daemonEnd: Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let isGone = false;
  void daemonEnd.then(() => {
    isGone = true;
  });
  for (;;) {
    signal.throwIfAborted();
    if (isGone) {
      const log = await readFile(join(place.folder, "daemon.log"), "utf8").catch(() => "");
      throw new Error(
        `dirmfa did not start. Its last words:\n${log.trim().split("\n").slice(-5).join("\n")}`,
      );
    }
    const url = `http://127.0.0.1:${place.port}/readyz`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(100);
  }
}

async function freePort(preferred: number): Promise<number> {
  const server = createServer();
  const listen = (port: number) =>
    new Promise<boolean>((done) => {
      server.once("error", () => done(false));
      server.listen(port, "127.0.0.1", () => done(true));
    });
  if (!(await listen(preferred))) await listen(0);
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === "string") throw new Error("no free port on 127.0.0.1");
  return address.port;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

function say(text: string): void {
  console.log(text);
}

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stopping.abort());
const [, , option, folder] = process.argv;
if (option !== undefined && (option !== "--folder" || folder === undefined)) {
  console.error("Usage: npm run demo [-- --folder FOLDER]");
  process.exitCode = 2;
} else {
  try {
    await runDemo(resolve(folder ?? defaultFolder), stopping.signal);
  } catch (error) {
    if (!stopping.signal.aborted) {
      console.error(error instanceof Error ? error.message : String(error));
      process.exitCode = 1;
    }
  }
}
