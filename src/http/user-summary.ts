// What callers of the login scope see of a user: no DN, no flags.

import type { SignedInUser } from "../verification/answers.ts";

export function userSummaryOf(user: SignedInUser) {
  return {
    id: user.id,
    username: user.username,
    displayName: user.displayName,
    email: user.email,
    directory: user.directory,
    groups: user.groups.map((group) => group.name),
  };
}
