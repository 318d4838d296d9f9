// dirmfa migrate: creates the tables, or brings them to what this version needs.

import type { Command } from "commander";
import { migrateToLatest } from "../store/migrate.ts";
import { type CliContext, type OutputOptions, withDatabase } from "./context.ts";
import { printJson, printLine } from "./print.ts";

export function addMigrateCommand(program: Command, context: CliContext): void {
  program
    .command("migrate")
    .description("create or update the database schema")
    .option("--json", "print JSON")
    .action((options: OutputOptions) =>
      withDatabase(
        context,
        async ({ db }) => {
          const applied = await migrateToLatest(db);
          if (options.json) return printJson(context, { applied });
          for (const name of applied) printLine(context, `applied ${name}`);
          printLine(
            context,
            applied.length > 0 ? "The schema is current." : "The schema is current already.",
          );
        },
        { requireSchema: false },
      ),
    );
}
