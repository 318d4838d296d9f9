// dirmfa serve: runs the daemon until a signal ends it, and reads the configuration again on SIGHUP. The exit code of a failed start
// says whether another try can help, so that a service manager does not start a bad configuration again and again.

import type { Command } from "commander";
import { loadConfig } from "../config/load-config.ts";
import type { Daemon } from "../daemon.ts";
import type { ErrorCode } from "../errors.ts";
import { createLog, type Log } from "../log.ts";
import { type CliContext, exitCodes } from "./context.ts";
import { reloadOnHangup } from "./reload-on-hangup.ts";
import { knownFailure, reportFailure } from "./report-failure.ts";
import { type ServiceManager, serviceManagerOf } from "./service-manager.ts";

export function addServeCommand(program: Command, context: CliContext): void {
  program
    .command("serve")
    .description("run the daemon: scheduled syncs and the HTTP API")
    .action(() => serve(context));
}

async function serve(context: CliContext): Promise<void> {
  const manager = serviceManagerOf(context.env);
  let started: Started;
  try {
    started = await start(context);
  } catch (error) {
    await reportFailedStart(context, manager, error);
    return;
  }
  const { daemon, log, reloading } = started;
  // Listened for before anybody is told that it is ready: a signal may come at that moment.
  const stopSignal = nextSignal();
  await manager.tell("READY=1", `STATUS=Listening on ${daemon.address}`);
  const signal = await stopSignal;
  log.info({ signal }, "stopping");
  // A second signal means now: the store is whole at any moment (rule 5), so nothing is lost but the drain.
  void nextSignal().then(() => process.exit(1));
  await Promise.all([manager.tell("STOPPING=1", "STATUS=Stopping"), reloading.end()]);
  await daemon.stop();
  log.info("stopped");
}

interface Started {
  daemon: Daemon;
  log: Log;
  reloading: ReturnType<typeof reloadOnHangup>;
}

async function start(context: CliContext): Promise<Started> {
  const config = await loadConfig(context.configPath(), context.env);
  const log = createLog(config.log.level);
  const reloading = reloadOnHangup({ path: context.configPath(), env: context.env, log });
  for (const warning of config.warnings) log.warn({ warning }, "configuration warning");
  // Loaded only here: no other command needs the HTTP server, and it is half of all there is to load.
  const { startDaemon } = await import("../daemon.ts");
  const daemon = await startDaemon(config, log);
  reloading.begin(daemon);
  return { daemon, log, reloading };
}

// What stays as it is until somebody acts. Anything else, as a database that is away, may be gone at the next try.
const staysBroken = new Set<ErrorCode>([
  "invalid-config",
  "key-missing",
  "key-wrong",
  "schema-too-old",
  "schema-too-new",
  "file-unusable",
]);

async function reportFailedStart(
  context: CliContext,
  manager: ServiceManager,
  error: unknown,
): Promise<void> {
  const failure = knownFailure(error);
  context.exitCode = reportFailure(error, context);
  if (failure && staysBroken.has(failure.code)) context.exitCode = exitCodes.usage;
  const { message, remedy } = failure ?? { message: "Something unexpected happened; see the log." };
  await manager.tell(`STATUS=${[message, remedy].filter(Boolean).join(" ")}`);
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
}
