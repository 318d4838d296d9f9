// dirmfa config schema: the JSON Schema of the configuration file, for editors.

import type { Command } from "commander";
import { configSchema } from "../config/schema.ts";
import type { CliContext } from "./context.ts";
import { printJson } from "./print.ts";

export function addConfigCommand(program: Command, context: CliContext): void {
  program
    .command("config")
    .description("the configuration file")
    .command("schema")
    .description("print its JSON Schema, for editors")
    .action(() => printJson(context, configSchema));
}
