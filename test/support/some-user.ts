// A stored user about whom nothing is special, for tests that need no database.

import type { User } from "../../src/users/user.ts";

/** Active, in no group, and nothing requires MFA of them. */
export function someUser(facts: Partial<User> = {}): User {
  return {
    id: "1",
    directory: "example",
    directoryId: "1",
    username: "ada",
    displayName: null,
    email: null,
    dn: "uid=ada",
    state: "active",
    groups: [],
    policyRequires: { organization: false, directory: false, enrollmentPass: false },
    requiredNewUser: false,
    requiredByAdmin: null,
    requiredSince: null,
    enrollmentDeadline: null,
    createdAt: new Date(0),
    changedAt: new Date(0),
    removedAt: null,
    ...facts,
  };
}
