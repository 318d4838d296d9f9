// What a store says of users, requirements and authenticators, and what may never become of it from one moment to the next
// (rules 1, 7, 11 to 14, 24 and 27). Works out for itself whom the policy in force concerns.

import { expect } from "vitest";
import type { Database } from "../../src/store/database.ts";
import type { MfaPolicy } from "../../src/users/policy.ts";

export interface UserFacts {
  id: string;
  directory_id: string;
  username_key: string;
  dn_key: string;
  state: "active" | "disabled" | "removed";
  required_new_user: boolean;
  required_by_admin: boolean | null;
  required_since: Date | null;
  enrollment_deadline: Date | null;
  graces: Record<string, string>;
  /** Directory ids of the user's groups. */
  groups: string[];
  /** Of the active authenticator. */
  authenticator: string | null;
  backup_codes: number;
}

export interface GroupFacts {
  directory_id: string;
  name_key: string;
  dn_key: string;
}

export interface Facts {
  /** By directory id. */
  users: Map<string, UserFacts>;
  groups: GroupFacts[];
  lastEvent: string;
}

export async function readFacts(db: Database): Promise<Facts> {
  const { rows: users } = await db.raw<{ rows: UserFacts[] }>(
    `select u.id, u.directory_id, u.username_key, u.dn_key, u.state, u.required_new_user, u.required_by_admin,
       u.required_since, u.enrollment_deadline, coalesce(u.graces, '{}') as graces,
       array(select g.directory_id from user_groups ug join groups g on g.id = ug.group_id
         where ug.user_id = u.id order by 1) as groups,
       (select a.id from authenticators a where a.user_id = u.id and a.state = 'active') as authenticator,
       (select count(*)::int from authenticators a
         join backup_code_sets s on s.authenticator_id = a.id join backup_codes c on c.set_id = s.id
         where a.user_id = u.id and c.spent_at is null) as backup_codes
     from users u order by u.directory_id`,
  );
  const groups = await db<GroupFacts>("groups").select("directory_id", "name_key", "dn_key");
  const last = await db("audit_events").max({ id: "id" }).first();
  return {
    users: new Map(users.map((user) => [user.directory_id, user])),
    groups,
    lastEvent: last?.id ?? "0",
  };
}

/** Which groups the policy means: remembered by their ids once they had the name, until the policy names them no more. */
export class RequiredGroups {
  readonly #keys = new Map<string, Set<string>>();

  follow(policy: Pick<MfaPolicy, "groupKeys">, groups: GroupFacts[]): void {
    for (const keys of this.#keys.values())
      for (const key of keys) if (!policy.groupKeys.includes(key)) keys.delete(key);
    for (const id of this.#keys.keys())
      if (!groups.some(({ directory_id }) => directory_id === id)) this.#keys.delete(id);
    for (const { directory_id, name_key, dn_key } of groups) {
      const keys = this.#keys.get(directory_id) ?? new Set();
      for (const key of [`name:${name_key}`, `dn:${dn_key}`])
        if (policy.groupKeys.includes(key)) keys.add(key);
      this.#keys.set(directory_id, keys);
    }
  }

  ids(): string[] {
    return [...this.#keys].filter(([, keys]) => keys.size > 0).map(([id]) => id);
  }
}

/** Why MFA is required of a user, in the words under which a user's graces are kept. */
export function reasonsFor(user: UserFacts, policy: MfaPolicy, requiredGroups: string[]): string[] {
  return [
    ...(policy.organization ? ["organization"] : []),
    ...(policy.directories.length > 0 ? ["directory"] : []),
    ...(user.required_new_user && user.required_by_admin !== false ? ["new-user"] : []),
    ...(user.required_by_admin ? ["admin"] : []),
    ...user.groups.filter((id) => requiredGroups.includes(id)).map((id) => `group:${id}`),
  ];
}

/** Of a moment by itself: whoever is concerned by the policy must use MFA, and nobody else. */
export function requirePolicy(facts: Facts, policy: MfaPolicy, requiredGroups: string[], told: string): void {
  for (const user of facts.users.values()) {
    if (user.state === "removed") continue;
    const reasons = reasonsFor(user, policy, requiredGroups);
    const about = `${told}: ${user.username_key} for ${JSON.stringify(reasons)}`;
    expect(user.required_since !== null, about).toBe(reasons.length > 0);
    if (reasons.length === 0) expect(user.enrollment_deadline, about).toBeNull();
  }
}

export interface Between {
  /** Of whom an audit event says that the requirement ended. */
  ended: ReadonlySet<string>;
  /** Ids of users whom the retention time has taken. */
  purged: ReadonlySet<string>;
  /** Ids of users of whom an admin has decided. */
  decided: ReadonlySet<string>;
  told: string;
}

/** From one moment to the next: nobody loses a user, an authenticator, a flag or a deadline, and no requirement ends untold. */
export function requireNothingLost(before: Facts, after: Facts, between: Between): void {
  for (const [directoryId, was] of before.users) {
    const is = after.users.get(directoryId);
    const about = `${between.told}: ${was.username_key} (${directoryId})`;
    if (between.purged.has(was.id)) {
      expect(is?.id, about).not.toBe(was.id);
      continue;
    }
    if (is === undefined) throw new Error(`${about} is gone`);
    expect(is.id, about).toBe(was.id);
    if (was.authenticator !== null)
      expect([is.authenticator, is.backup_codes], about).toEqual([was.authenticator, was.backup_codes]);
    expect(is.required_new_user, about).toBe(was.required_new_user);
    if (!between.decided.has(was.id)) expect(is.required_by_admin, about).toBe(was.required_by_admin);
    // What a reason gave once, it gave for good.
    expect(is.graces, about).toMatchObject(was.graces);
    const hasEnded = between.ended.has(was.id);
    if (was.required_since !== null && is.required_since === null) expect(hasEnded, about).toBe(true);
    if (was.required_since !== null && !hasEnded) {
      expect([is.required_since, is.enrollment_deadline], about).toEqual([
        was.required_since,
        was.enrollment_deadline,
      ]);
    }
  }
}

/** A requirement that begins, or begins again, has no later deadline than a reason for it gave before. */
export function requireOldGraces(
  before: Facts,
  after: Facts,
  reasonsOf: (user: UserFacts) => string[],
  told: string,
): void {
  for (const is of after.users.values()) {
    const was = before.users.get(is.directory_id);
    if (was?.id !== is.id || is.required_since === null || is.state === "removed") continue;
    for (const reason of was.required_since === null ? reasonsOf(is) : []) {
      const grace = was.graces[reason];
      if (grace === undefined) continue;
      const deadline = is.enrollment_deadline?.getTime() ?? 0;
      expect(deadline, `${told}: ${is.username_key} by ${reason}`).toBeLessThanOrEqual(Date.parse(grace));
    }
  }
}
