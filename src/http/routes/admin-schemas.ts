// Requests and answers of the admin scope.

import Type from "typebox";
import { auditActions } from "../../audit/audit-events-table.ts";
import { runStatuses } from "../../sync/sync-run.ts";
import { userStates } from "../../users/user.ts";
import {
  Closed,
  DirectoryName,
  GuardedKindWord,
  Instant,
  Line,
  NextCursor,
  Nullable,
  pageQuery,
  UserSummary,
  Uuid,
  Words,
} from "../schemas.ts";

const Facts = Type.Object({}, { additionalProperties: true });

export const UserState = Words(userStates);

export const ListUsersQuery = Closed({
  search: Type.Optional(Line(200, { description: "Part of the username, display name or e-mail address" })),
  state: Type.Optional(UserState),
  directory: Type.Optional(DirectoryName),
  required: Type.Optional(Type.Boolean()),
  enrolled: Type.Optional(Type.Boolean()),
  ...pageQuery,
});

const listedUser = {
  ...UserSummary.properties,
  state: UserState,
  required: Type.Boolean(),
  requiredBy: Type.Array(Type.String()),
  enrollmentDeadline: Nullable(Instant),
  enrolled: Type.Boolean(),
};
export const UserPage = Closed({ users: Type.Array(Closed(listedUser)), nextCursor: NextCursor });

export const UserDetail = Closed({
  ...UserSummary.properties,
  state: UserState,
  directoryId: Type.String(),
  dn: Type.String(),
  createdAt: Instant,
  changedAt: Instant,
  removedAt: Nullable(Instant),
  policy: Closed({
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
  authenticator: Closed({
    enrolled: Type.Boolean(),
    enrolledAt: Nullable(Instant),
    pendingUntil: Nullable(Instant),
    passUntil: Nullable(Instant),
    backupCodesRemaining: Type.Integer(),
  }),
  lockouts: Type.Array(
    Closed({ method: GuardedKindWord, failures: Type.Integer(), lockedUntil: Nullable(Instant) }),
  ),
});

const issuedPass = {
  enrollmentPass: Type.String({ description: "Shown this once; it works once" }),
  expiresAt: Instant,
};
export const IssuedPass = Closed(issuedPass);

/** None, or an object. */
export const DisableMfaRequest = Type.Unsafe<null | { keepGrace?: boolean; issuePass?: boolean }>({
  type: ["object", "null"],
  additionalProperties: false,
  properties: {
    keepGrace: {
      type: "boolean",
      description: "Let a grace period that still runs go on: until its end the password alone signs in",
    },
    issuePass: { type: "boolean", description: "Answer with an enrollment pass as well" },
  },
});
export const DisabledMfa = Closed({
  ...UserDetail.properties,
  issued: Nullable(Closed(issuedPass, { description: "Where `issuePass` asked for one" })),
});

export const RequireMfaRequest = Closed({ required: Type.Boolean() });

const AuditEvent = Closed({
  id: Type.String(),
  at: Instant,
  actor: Type.String(),
  via: Type.String(),
  action: Type.String(),
  userId: Nullable(Type.String()),
  directory: Nullable(Type.String()),
  outcome: Type.String(),
  details: Facts,
  requestId: Nullable(
    Type.String({
      description: "Of the request, as in its answer's X-Request-Id; of the command or the daemon",
    }),
  ),
});

export const UserEventsQuery = Closed(pageQuery);
export const AuditEventsQuery = Closed({
  since: Type.Optional(
    Type.String({
      pattern: "^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,6})?)?(Z|[+-]\\d{2}:\\d{2}))?$",
      description: "Date, or date and time with its zone, ISO 8601",
    }),
  ),
  action: Type.Optional(Words(auditActions)),
  user: Type.Optional(Uuid),
  ...pageQuery,
});
export const AuditEventPage = Closed({
  events: Type.Array(AuditEvent, { description: "Oldest first" }),
  nextCursor: NextCursor,
});

const RunStatus = Words(runStatuses);
const RunRemark = Closed({ code: Type.String(), text: Type.String() });

const syncRun = {
  id: Type.String(),
  directory: Type.String(),
  kind: Words(["full", "incremental"]),
  trigger: Words(["schedule", "start", "request", "approval"]),
  requestedBy: Type.String(),
  dryRun: Type.Boolean(),
  approves: Nullable(
    Type.String({ description: "The held run whose plan this one was approved to carry out" }),
  ),
  status: RunStatus,
  startedAt: Instant,
  finishedAt: Nullable(Instant),
  serverUrl: Nullable(Type.String()),
  counts: Nullable(
    Closed({
      listed: Type.Integer(),
      unchanged: Type.Integer(),
      added: Type.Integer(),
      changed: Type.Integer(),
      restored: Type.Integer(),
      disabled: Type.Integer(),
      removed: Type.Integer(),
      skipped: Type.Integer(),
    }),
  ),
  holdReasons: Type.Array(RunRemark),
  notes: Type.Array(RunRemark),
  planDigest: Nullable(Type.String()),
  approvedAt: Nullable(Instant),
  approvedBy: Nullable(Type.String()),
  error: Nullable(Closed({ code: Type.String(), message: Type.String(), remedy: Nullable(Type.String()) })),
};

export const SyncRun = Closed(syncRun);
export const SyncRunDetail = Closed({
  ...syncRun,
  skips: Type.Array(Closed({ dn: Type.String(), reason: Type.String(), detail: Type.String() }), {
    description: "The first entries that could not be used, and why; `counts.skipped` has their number",
  }),
});

export const StartRunRequest = Closed({ directory: Line(100), dryRun: Type.Optional(Type.Boolean()) });
export const ListRunsQuery = Closed({
  directory: Type.Optional(DirectoryName),
  status: Type.Optional(RunStatus),
  ...pageQuery,
});
export const SyncRunPage = Closed({
  runs: Type.Array(SyncRun, { description: "Newest first" }),
  nextCursor: NextCursor,
});

export const ChangesQuery = Closed(pageQuery);
export const SyncChangePage = Closed({
  changes: Type.Array(
    Closed({
      directoryId: Type.String(),
      userId: Nullable(Type.String()),
      action: Words(["add", "change", "restore", "disable", "remove"]),
      username: Type.String(),
      dn: Type.String(),
      reasons: Type.Array(Type.String()),
      before: Nullable(Facts),
      after: Nullable(Facts),
    }),
  ),
  nextCursor: NextCursor,
});
