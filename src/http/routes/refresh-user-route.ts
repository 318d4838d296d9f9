// One user read from the directory now (rule 26), for an HR system's webhook or an admin: whoever was hired, enabled or
// renamed a moment ago need not wait for the next run.

import { Type } from "typebox";
import type { Database } from "../../store/database.ts";
import type { DirectoryRefreshed, OnDemand } from "../../sync/on-demand.ts";
import type { User } from "../../users/user.ts";
import { findUser, findUserByName } from "../../users/users-table.ts";
import type { App } from "../app-type.ts";
import { actorOfRequest } from "../caller-auth.ts";
import { ProblemAnswer } from "../problems.ts";
import { Closed, DirectoryName, Nullable, Username, UserSummary, Uuid, Words } from "../schemas.ts";
import { userSummaryOf } from "../user-summary.ts";
import { UserState } from "./admin-user-schemas.ts";

export interface RefreshUserDeps {
  db: Database;
  onDemand: Pick<OnDemand, "refresh">;
}

const RefreshUserRequest = Closed(
  {
    username: Type.Optional(Username),
    id: Type.Optional(Uuid),
    directory: Type.Optional(DirectoryName),
  },
  { description: "Either `username` or `id`", oneOf: [{ required: ["username"] }, { required: ["id"] }] },
);

const refreshedOutcomes = [
  "changed",
  "unchanged",
  "not-found",
  "skipped",
  "held",
  "not-imported",
  "not-asked",
  "failed",
] as const;

const RefreshedUser = Closed({
  directories: Type.Array(
    Closed({
      directory: Type.String(),
      outcome: Words(refreshedOutcomes),
      runId: Nullable(
        Type.String({ description: "Of `changed`: its plan, as `GET /v1/admin/sync-runs/{id}`" }),
      ),
      reasons: Type.Array(Type.String()),
    }),
  ),
  user: Type.Unsafe<null | (ReturnType<typeof userSummaryOf> & { state: User["state"] })>({
    ...Closed({ ...UserSummary.properties, state: UserState }),
    type: ["object", "null"],
  }),
});

const retrySeconds = 10;

export function addRefreshUserRoute(app: App, { db, onDemand }: RefreshUserDeps): void {
  app.post(
    "/v1/admin/users/refresh",
    {
      schema: {
        tags: ["admin"],
        summary: "Read one user from the directory now",
        description:
          "Adds the user or takes over what has changed, by the rules of a sync run, and removes nobody. Without `directory` " +
          "all of them are asked. 503 when none of them answered.",
        body: RefreshUserRequest,
        response: { 200: RefreshedUser },
      },
      config: { isChange: true, scope: "admin", problems: ["user-unknown", "directory-unknown"] },
    },
    async (request) => {
      const { username, id, directory } = request.body;
      const known = id === undefined ? undefined : await findUser(db, id);
      if (id !== undefined && (!known || (directory ?? known.directory) !== known.directory)) {
        throw new ProblemAnswer({ code: "user-unknown" });
      }
      const answers = await onDemand.refresh({
        name: username,
        user: known,
        directory,
        actor: actorOfRequest(request),
      });
      if (answers.every(({ outcome }) => outcome === "failed" || outcome === "not-asked")) {
        throw new ProblemAnswer({
          code: "unavailable",
          detail: "No directory has answered.",
          retryAfterSeconds: retrySeconds,
        });
      }
      const user = await userNow(db, { username, id, directory });
      return {
        directories: answers.map(answerOf),
        user: user ? { ...userSummaryOf(user), state: user.state } : null,
      };
    },
  );
}

function answerOf(refreshed: DirectoryRefreshed) {
  const { directory, outcome } = refreshed;
  return {
    directory,
    outcome,
    runId: outcome === "changed" ? refreshed.runId : null,
    reasons: reasonsOf(refreshed),
  };
}

function reasonsOf(refreshed: DirectoryRefreshed): string[] {
  if (refreshed.outcome === "failed") return [refreshed.code];
  return refreshed.outcome === "skipped" || refreshed.outcome === "held" ? refreshed.reasons : [];
}

async function userNow(
  db: Database,
  { username, id, directory }: Record<"username" | "id" | "directory", string | undefined>,
): Promise<User | undefined> {
  if (username === undefined) return id === undefined ? undefined : findUser(db, id);
  const match = await findUserByName(db, { username, directory });
  return match.kind === "user" ? match.user : undefined;
}
