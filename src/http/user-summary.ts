// What callers of the login scope see of a user: no DN, no flags.

import type { User } from "../users/user.ts";

export function userSummaryOf(user: User) {
  return {
    id: user.id,
    username: user.username,
    displayName: user.displayName,
    email: user.email,
    directory: user.directory,
    groups: user.groups.map((group) => group.name),
  };
}
