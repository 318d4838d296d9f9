// Users as CSV: the same list as everywhere, one record a user, read page by page so that any number fits.

import { csvRecord } from "../csv.ts";
import type { Database } from "../store/database.ts";
import { usernameKeyOf } from "../username.ts";
import { decideRequirement } from "./policy.ts";
import { type ListedUser, listUsers, type UserFilter } from "./users-table.ts";

// Small enough to stay in memory while a slow reader takes it.
const pageSize = 500;

const header = [
  "id",
  "directory",
  "username",
  "displayName",
  "email",
  "state",
  "required",
  "requiredBy",
  "enrollmentDeadline",
  "enrolled",
  "locked",
] as const;

/** All users that fit, in the order of their names. Users who change while it is read may be in it as before or as after. */
export async function* usersAsCsv(
  db: Database,
  filter: Omit<UserFilter, "after" | "limit">,
): AsyncGenerator<string> {
  yield csvRecord(header);
  let after: UserFilter["after"];
  for (;;) {
    const users = await listUsers(db, { ...filter, after, limit: pageSize });
    if (users.length > 0) yield users.map(recordOf).join("");
    const last = users.at(-1);
    if (last === undefined || users.length < pageSize) return;
    after = { usernameKey: usernameKeyOf(last.username), id: last.id };
  }
}

function recordOf(user: ListedUser): string {
  const { required, requiredBy } = decideRequirement(user);
  return csvRecord([
    user.id,
    user.directory,
    user.username,
    user.displayName,
    user.email,
    user.state,
    required,
    requiredBy.join(" "),
    user.enrollmentDeadline,
    user.enrolled,
    user.locked,
  ]);
}
