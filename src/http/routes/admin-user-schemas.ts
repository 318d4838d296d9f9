// Requests and answers of the admin scope about users: lists, one user, and what may be changed of them.

import { Type } from "typebox";
import { userStates } from "../../users/user.ts";
import { type Identification, identifications } from "../../verification/answers.ts";
import {
  Closed,
  DirectoryName,
  GuardedKindWord,
  Instant,
  Line,
  Named,
  NextCursor,
  Nullable,
  pageQuery,
  TimeText,
  UserSummary,
  Words,
} from "../schemas.ts";

export const UserState = Words(userStates, { title: "UserState" });

/** Which users are meant. Those that are removed only where `state` asks for them, once `required` or `deadlineBefore` is given. */
const userConditions = {
  search: Type.Optional(Line(200, { description: "Part of the username, display name or e-mail address" })),
  state: Type.Optional(UserState),
  directory: Type.Optional(DirectoryName),
  group: Type.Optional(Line(2000, { description: "Name or DN of a group that they are in" })),
  required: Type.Optional(Type.Boolean()),
  enrolled: Type.Optional(Type.Boolean()),
  locked: Type.Optional(Type.Boolean({ description: "A kind of code is locked out now" })),
  deadlineBefore: Type.Optional(
    TimeText("MFA is required, and may be deferred until a time before this at most"),
  ),
};
export const ListUsersQuery = Closed({ ...userConditions, ...pageQuery });
export const CountUsersQuery = Closed(userConditions);

// One transaction's worth; more is asked for in several calls.
const mostUsersAtOnce = 5000;
const atMost = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: mostUsersAtOnce,
    description: "1000 when not given. When more users fit, nobody is changed",
  }),
);
export const atMostDefault = 1000;
const ManyUsers = Named("ManyUsers", userConditions, {
  minProperties: 1,
  description: "At least one condition; removed users are left out",
});
export const RequireMfaOfManyRequest = Named("RequireMfaOfManyRequest", {
  filter: ManyUsers,
  required: Type.Boolean(),
  atMost,
});
export const UnlockManyRequest = Named("UnlockManyRequest", { filter: ManyUsers, atMost });
export const ManyUsersResult = Named("ManyUsersResult", {
  matched: Type.Integer({ description: "Users who fit" }),
  changed: Type.Integer({ description: "Those for whom it was not so already; each has an audit event" }),
});

const Count = Type.Integer();
export const UserCounts = Named("UserCounts", {
  users: Count,
  states: Closed({ active: Count, disabled: Count, removed: Count }),
  active: Closed(
    {
      required: Count,
      enrolled: Count,
      mayDefer: Type.Integer({ description: "Required, not enrolled, and still in the grace period" }),
      mustEnroll: Type.Integer({ description: "Required, not enrolled, and stopped at the next sign-in" }),
      locked: Count,
    },
    { description: "Of the active users among them" },
  ),
});

const ListedUser = Named("ListedUser", {
  ...UserSummary.properties,
  state: UserState,
  required: Type.Boolean(),
  requiredBy: Type.Array(Type.String()),
  enrollmentDeadline: Nullable(Instant),
  enrolled: Type.Boolean(),
  locked: Type.Boolean(),
});
export const UserPage = Named("UserPage", { users: Type.Array(ListedUser), nextCursor: NextCursor });

export const UserDetail = Named("User", {
  ...UserSummary.properties,
  state: UserState,
  directoryId: Type.String(),
  dn: Type.String(),
  createdAt: Instant,
  changedAt: Instant,
  removedAt: Nullable(Instant),
  policy: Named("UserPolicy", {
    required: Type.Boolean(),
    requiredBy: Type.Array(Type.String()),
    requiredNewUser: Type.Boolean(),
    requiredByAdmin: Type.Unsafe<boolean | null>({
      type: ["boolean", "null"],
      description: "What an admin decided; null when none did",
    }),
    requiredSince: Nullable(Instant),
    enrollmentDeadline: Nullable(Instant),
  }),
  authenticator: Named("AuthenticatorState", {
    enrolled: Type.Boolean(),
    enrolledAt: Nullable(Instant),
    pendingUntil: Nullable(Instant),
    passUntil: Nullable(Instant),
    backupCodesRemaining: Type.Integer(),
  }),
  lockouts: Type.Array(
    Named("Lockout", { method: GuardedKindWord, failures: Type.Integer(), lockedUntil: Nullable(Instant) }),
  ),
  signIn: Named("SignInOutlook", {
    possible: Type.Boolean({ description: "They can sign in, with what they have" }),
    explanation: Type.String({ description: "How, or why not: a sentence for the help desk" }),
  }),
});

export const IssuedPass = Named("IssuedPass", {
  enrollmentPass: Type.String({ description: "Shown this once; it works once" }),
  expiresAt: Instant,
});

const identified = {
  type: "string",
  enum: [...identifications],
  description: "How it was seen that it is them; for the audit event of the pass",
};

/** None, or an object. */
export const DisableMfaRequest = Type.Unsafe<null | {
  keepGrace?: boolean;
  issuePass?: boolean;
  identified?: Identification;
}>({
  title: "DisableMfaRequest",
  type: ["object", "null"],
  additionalProperties: false,
  properties: {
    keepGrace: {
      type: "boolean",
      description: "Let a grace period that still runs go on: until its end the password alone signs in",
    },
    issuePass: { type: "boolean", description: "Answer with an enrollment pass as well" },
    identified,
  },
});
export const DisabledMfa = Named("DisabledMfa", {
  ...UserDetail.properties,
  /** Where `issuePass` asked for one. */
  issued: Nullable(IssuedPass),
});

/** None, or an object. */
export const IssuePassRequest = Type.Unsafe<null | { identified?: Identification }>({
  title: "IssuePassRequest",
  type: ["object", "null"],
  additionalProperties: false,
  properties: { identified },
});

export const RequireMfaRequest = Named("RequireMfaRequest", { required: Type.Boolean() });
