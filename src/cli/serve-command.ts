// dirmfa serve: the daemon, until it is told to stop; told to reload, it reads its configuration again.

import type { Command } from "commander";
import { loadConfig } from "../config/load-config.ts";
import { createLog } from "../log.ts";
import type { CliContext } from "./context.ts";
import { reloadOnHangup } from "./reload-on-hangup.ts";

export function addServeCommand(program: Command, context: CliContext): void {
  program
    .command("serve")
    .description("run the daemon: scheduled syncs and the HTTP API")
    .action(() => serve(context));
}

async function serve(context: CliContext): Promise<void> {
  const config = await loadConfig(context.configPath(), context.env);
  const log = createLog(config.log.level);
  const reloading = reloadOnHangup({ path: context.configPath(), env: context.env, log });
  for (const warning of config.warnings) log.warn({ warning }, "configuration warning");
  // Loaded here alone: the HTTP server is half of what a short command would have to load for nothing.
  const { startDaemon } = await import("../daemon.ts");
  const daemon = await startDaemon(config, log);
  reloading.begin(daemon);
  const signal = await nextSignal();
  log.info({ signal }, "stopping");
  // A second signal means now: the store is whole at any moment (rule 5), so nothing is lost but the drain.
  void nextSignal().then(() => process.exit(1));
  await reloading.end();
  await daemon.stop();
  log.info("stopped");
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
}
