// A directory that has another name in the configuration takes its users along, and one that is gone from it gives them up.
// Until then they are let in nowhere (verification/standing.ts), and lose nothing.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { AppError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import { lockPolicy, rememberRequiredGroups } from "../users/policy-table.ts";
import { refreshRequirements } from "../users/requirements-table.ts";
import { holdDirectories } from "./hold-directory.ts";
import { forgetMarks } from "./marks-table.ts";
import {
  listNameClashes,
  listStoredDirectories,
  listTwinsInUse,
  mergeGroups,
  mergeTwins,
  moveDirectory,
  type Names,
  removeDirectoryUsers,
} from "./stored-directories-table.ts";

export interface DirectoriesDeps {
  db: Database;
  /** Names this process in leases. */
  holder: string;
  /** Names of the configured directories. */
  directories: readonly string[];
}

export interface RenameAnswer {
  users: number;
  /** Users whom the new directory had imported again: they are one with the old ones. */
  merged: number;
}

/**
 * Puts everything stored under one name under another. Where the new directory has been imported already, each user of both
 * becomes one again: the old one with its authenticator. Throws AppError `invalid-usage` where the names do not fit the
 * configuration, and where people would lose something.
 */
export async function renameDirectory(
  deps: DirectoriesDeps,
  input: Names & { actor: Actor },
): Promise<RenameAnswer> {
  const { oldName, newName, actor } = input;
  if (!deps.directories.includes(newName)) {
    throw new AppError("invalid-usage", `There is no directory ${newName} in the configuration.`, {
      remedy: `Change the name there first. The configured ones are: ${deps.directories.join(", ")}.`,
    });
  }
  requireUnconfigured(deps, oldName);
  return holdDirectories(deps, [oldName, newName], async (trx) => {
    // Before users and groups, as whoever applies a policy does, so that neither waits for the other.
    await lockPolicy(trx);
    await requireStored(trx, oldName);
    const names = { oldName, newName };
    const inUse = await listTwinsInUse(trx, names);
    if (inUse.length > 0) {
      throw new AppError(
        "invalid-usage",
        `Users of ${newName} who are in ${oldName} too have an authenticator or a requirement of their own: ${inUse.join(", ")}.`,
        { remedy: "Decide for each which to keep, and end the other one with `user disable-mfa`." },
      );
    }
    const clashes = await listNameClashes(trx, names);
    if (clashes.length > 0) {
      throw new AppError(
        "invalid-usage",
        `Users of ${oldName} whom ${newName} does not list have the names of others there: ${clashes.join(", ")}.`,
        { remedy: `Rename those in the directory and run \`dirmfa sync --directory ${newName}\`.` },
      );
    }
    const merged = await mergeTwins(trx, { ...names, actor });
    await mergeGroups(trx, names);
    await forgetMarks(trx, [oldName, newName]);
    const users = await moveDirectory(trx, names);
    // The policy may have changed while nobody decided about these users.
    await rememberRequiredGroups(trx);
    const scope = { condition: "u.directory = :newName", bindings: { newName } };
    await refreshRequirements(trx, scope, { actor, cause: { by: "directory-rename" } });
    const details = { ...names, users, merged };
    await recordAuditEvent(trx, {
      actor,
      action: "directory-rename",
      directory: newName,
      outcome: "done",
      details,
    });
    return { users, merged };
  });
}

/** Removes all users of a directory that is not configured any more; returns how many. They are purged after the retention time. */
export async function retireDirectory(
  deps: DirectoriesDeps,
  input: { name: string; actor: Actor },
): Promise<number> {
  const { name, actor } = input;
  requireUnconfigured(deps, name);
  return holdDirectories(deps, [name], async (trx) => {
    await requireStored(trx, name);
    const users = await removeDirectoryUsers(trx, input);
    await forgetMarks(trx, [name]);
    await recordAuditEvent(trx, {
      actor,
      action: "directory-retire",
      directory: name,
      outcome: "done",
      details: { users },
    });
    return users;
  });
}

function requireUnconfigured({ directories }: DirectoriesDeps, name: string): void {
  if (!directories.includes(name)) return;
  throw new AppError("invalid-usage", `The directory ${name} is in the configuration.`, {
    remedy:
      "Change the configuration first, and restart every daemon: its next run would bring the users back.",
  });
}

async function requireStored(db: Database, name: string): Promise<void> {
  const stored = await listStoredDirectories(db);
  if (stored.some((directory) => directory.name === name)) return;
  throw new AppError("invalid-usage", `Nothing is stored of a directory ${name}.`, {
    remedy: `Stored are: ${stored.map((directory) => directory.name).join(", ") || "none"}.`,
  });
}

/** Directories with users who could sign in if they were configured. */
export async function listUnconfigured(deps: {
  db: Database;
  directories: readonly string[];
}): Promise<{ name: string; users: number }[]> {
  const stored = await listStoredDirectories(deps.db);
  return stored
    .filter(({ name, active, disabled }) => active + disabled > 0 && !deps.directories.includes(name))
    .map(({ name, active, disabled }) => ({ name, users: active + disabled }));
}
