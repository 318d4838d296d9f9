// Who may do what in the console: roles by groups of the directory. Pure.

import type { ConsoleConfig, ConsoleRole } from "../config/config.ts";
import { groupKeyOf } from "../users/policy.ts";
import type { User } from "../users/user.ts";

export const everyRole = ["admin", "helpDesk", "auditor"] as const satisfies readonly ConsoleRole[];

/** The roles that a user's groups give, by their stored memberships. A group that was renamed gives none under its old name. */
export function rolesOf(user: Pick<User, "groups">, configured: ConsoleConfig["roles"]): ConsoleRole[] {
  const keys = new Set(user.groups.flatMap(({ nameKey, dnKey }) => [`name:${nameKey}`, `dn:${dnKey}`]));
  return everyRole.filter((role) => configured[role].some((group) => keys.has(groupKeyOf(group))));
}
