// Sign-in names on their way to a statement for many of them, and its rows on their way back: for each name the one user whom it
// means (rule 3). Knows no statement.

import { unnested } from "../store/prepared.ts";
import { isUsableUsername, usernameKeyOf } from "../username.ts";
import { chooseNamedUser, type NamedUser, type User } from "../users/user.ts";
import type { UserName } from "./answers.ts";

export type Named<Standing> =
  | { kind: "user"; standing: Standing }
  | { kind: "unknown" }
  /** The name is that of live users in more than one directory. */
  | { kind: "ambiguous"; directories: string[] };

/** The arrays `usernameKeys` and `directories`, in the order of the names. A key that is null means nobody. */
export function nameBindings(names: readonly UserName[]): Record<string, unknown[]> {
  // No user has a name that is not usable, and PostgreSQL refuses text with a null character.
  const usable = names.map(({ username, directory }) =>
    isUsableUsername(username) && !directory?.includes("\0")
      ? { key: usernameKeyOf(username), directory: directory ?? null }
      : { key: null, directory: null },
  );
  return {
    usernameKeys: unnested(usable.map(({ key }) => key)),
    directories: unnested(usable.map(({ directory }) => directory)),
  };
}

/** What every row tells, beside where its user stands. */
export interface NamedRow {
  /** Of the name, from 1. */
  number: string;
  match: NamedUser["match"];
}

/** What the rows say of each of `count` names, in their order. */
export function standingsOfNames<
  Row extends NamedRow,
  Standing extends { user: Pick<User, "directory" | "removedAt"> },
>(count: number, rows: readonly Row[], standingOf: (row: Row) => Standing): Named<Standing>[] {
  const byNumber = Map.groupBy(rows, ({ number }) => Number(number));
  return Array.from({ length: count }, (_, index) => {
    const candidates = (byNumber.get(index + 1) ?? []).map((row) => ({
      match: row.match,
      standing: standingOf(row),
    }));
    const chosen = chooseNamedUser(candidates.map(({ match, standing }) => ({ match, user: standing.user })));
    if (chosen.kind !== "user") return chosen;
    const found = candidates.find(({ standing }) => standing.user === chosen.user);
    return found ? { kind: "user", standing: found.standing } : { kind: "unknown" };
  });
}
