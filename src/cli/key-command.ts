// dirmfa key: sealing keys, which open the stored TOTP secrets. Made here, kept in files, never in the database.

import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { systemClock } from "../clock.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { AppError } from "../errors.ts";
import { listKeyIds } from "../sealing/key-folder.ts";
import { keyStatus } from "../sealing/key-status.ts";
import { generateKey, rotateKeys } from "../sealing/rotate-keys.ts";
import { listSealingKeys } from "../sealing/sealing-keys-table.ts";
import { openDatabase } from "../store/database.ts";
import { isEmbeddedDatabaseThere } from "../store/embedded/embedded-database.ts";
import { findSchemaVersion } from "../store/schema-version-table.ts";
import {
  type CliContext,
  createCommandLog,
  exitCodes,
  type OpenCommand,
  type OutputOptions,
  withDatabase,
} from "./context.ts";
import { printJson, printLine, printTable } from "./print.ts";
import { knownFailure } from "./report-failure.ts";

interface GenerateOptions extends OutputOptions {
  another?: boolean;
}

interface RotateOptions extends OutputOptions {
  to?: string;
  despiteReplicas?: boolean;
}

export function addKeyCommand(program: Command, context: CliContext): void {
  const key = program.command("key").description("sealing keys: generate, rotate, status");
  key
    .command("generate")
    .description("write a new key file into keys.folder; nothing uses it yet, unless it is the first")
    .option("--another", "also where the folder has a key that is not in use yet")
    .option("--json", "print JSON")
    .action((options: GenerateOptions) => generate(context, options));
  key
    .command("rotate")
    .description("make a key active and reseal everything with it; goes on where it was stopped")
    .option("--to <key id>", "the new key; default: the one key of the folder that is not in use")
    .option("--despite-replicas", "also while a running replica does not have the key, and so refuses codes")
    .option("--json", "print JSON")
    .action((options: RotateOptions) => withDatabase(context, (open) => rotate(context, open, options)));
  key
    .command("status")
    .description("every key: its state, whether its file is there, and how much it seals")
    .option("--json", "print JSON")
    .action((options: OutputOptions) => withDatabase(context, (open) => printStatus(context, open, options)));
}

async function generate(context: CliContext, options: GenerateOptions): Promise<void> {
  const config = await loadConfig(context.configPath(), context.env);
  if (!options.another) await refuseSecondKey(context, config);
  const { folder } = config.keys;
  const made = await generateKey({ folder, clock: systemClock, randomBytes });
  if (options.json) {
    printJson(context, made);
    return;
  }
  printLine(context, `Wrote ${made.path}.`);
  printLine(context, "Copy it to every replica, and keep a copy apart from the database's backups.");
}

/** Two keys that are both not in use leave a new database, and a rotation, without a key that is meant. */
async function refuseSecondKey(context: CliContext, config: Config): Promise<void> {
  const { folder } = config.keys;
  const ids = await listKeyIds(folder);
  if (ids.length === 0) return;
  const inUse = await keyIdsInUse(context, config);
  const unused = ids.filter((id) => !inUse?.includes(id));
  if (unused.length === 0) return;
  const doubt = inUse ? "that is not in use yet" : "and the database cannot be asked whether it is in use";
  throw new AppError("invalid-usage", `${folder} has a key already ${doubt}: ${unused.join(", ")}.`, {
    remedy:
      "A new database takes it at its first start, `dirmfa key rotate` at any time. For one more: --another.",
  });
}

/** Undefined when the database cannot be asked; one without tables uses none. */
async function keyIdsInUse(context: CliContext, { database }: Config): Promise<string[] | undefined> {
  if (database.kind === "embedded" && !isEmbeddedDatabaseThere(database.folder)) return [];
  try {
    const { db, close } = await openDatabase(database, { log: createCommandLog(context), owner: false });
    try {
      if ((await findSchemaVersion(db)) === null) return [];
      return (await listSealingKeys(db)).map(({ id }) => id);
    } finally {
      await close();
    }
  } catch (error) {
    if (knownFailure(error)) return undefined;
    throw error;
  }
}

async function rotate(context: CliContext, open: OpenCommand, options: RotateOptions): Promise<void> {
  const stop = new AbortController();
  const abort = () => stop.abort(new AppError("aborted", "The rotation was stopped; run it again to go on."));
  process.once("SIGINT", abort).once("SIGTERM", abort);
  const answer = await rotateKeys(
    { db: open.db, folder: open.config.keys.folder, log: open.log, randomBytes },
    {
      to: options.to,
      actor: open.actor,
      signal: stop.signal,
      despiteReplicas: options.despiteReplicas ?? false,
    },
  ).finally(() => process.off("SIGINT", abort).off("SIGTERM", abort));
  if (answer.unreadable.length > 0) context.exitCode = exitCodes.failed;
  if (options.json) {
    printJson(context, answer);
    return;
  }
  printLine(context, `${answer.activeKey} is active; ${answer.resealed} values were resealed.`);
  for (const id of answer.retired)
    printLine(context, `${id} seals nothing any more. Keep its file as long as a backup from before now.`);
  for (const { table, id } of answer.unreadable) {
    printLine(context, `No key opens ${table} ${id}; the user has to enroll again (user disable-mfa).`);
  }
}

async function printStatus(context: CliContext, open: OpenCommand, options: OutputOptions): Promise<void> {
  const keys = await keyStatus({ db: open.db, folder: open.config.keys.folder, log: open.log });
  if (options.json) {
    printJson(context, { keys });
    return;
  }
  printTable(
    context,
    ["KEY", "STATE", "FILE", "SEALS", "IN USE SINCE"],
    keys.map((key) => [key.id, key.state, key.file, key.sealed, key.createdAt?.toISOString() ?? null]),
  );
}
