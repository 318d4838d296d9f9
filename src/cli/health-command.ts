// dirmfa health: does the daemon of this configuration live? For container platforms and monitors; reads no database.

import type { Command } from "commander";
import { loadConfig } from "../config/load-config.ts";
import { askHealth } from "../http/ask-health.ts";
import { type CliContext, exitCodes } from "./context.ts";
import { printLine } from "./print.ts";

export function addHealthCommand(program: Command, context: CliContext): void {
  program
    .command("health")
    .description("exit with 0 when the daemon answers at http.listen, with 1 when it does not")
    .action(() => health(context));
}

async function health(context: CliContext): Promise<void> {
  const { http } = await loadConfig(context.configPath(), context.env);
  const lives = await askHealth(http);
  printLine(context, lives ? "dirmfa is running." : "No dirmfa answers at http.listen.");
  if (!lives) context.exitCode = exitCodes.failed;
}
