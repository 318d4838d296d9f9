// The one user that an admin names on the command line.

import { AppError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import type { User } from "../users/user.ts";
import { findUser, findUserByName } from "../users/users-table.ts";
import { uuidPattern } from "../uuid.ts";

export function isUserId(text: string): boolean {
  return uuidPattern.test(text);
}

/** By user id, username or alias. Throws AppError `user-unknown` or `username-ambiguous`. */
export async function getUser(db: Database, who: string, directory: string | undefined): Promise<User> {
  const byId = isUserId(who) ? await findUser(db, who) : undefined;
  if (byId) return byId;
  const match = await findUserByName(db, { username: who, directory });
  if (match.kind === "user") return match.user;
  if (match.kind === "ambiguous") {
    throw new AppError(
      "username-ambiguous",
      `${who} lives in the directories ${match.directories.join(", ")}.`,
      { remedy: "Say which with --directory." },
    );
  }
  throw new AppError("user-unknown", `There is no user ${who}.`, {
    remedy: "`dirmfa user list --search TEXT` looks for parts of names.",
  });
}
