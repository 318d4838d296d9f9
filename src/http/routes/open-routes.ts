// The calls that need no token: does the process live, can it answer sign-ins. And GET /metrics, which needs one.

import { Type } from "typebox";
import type { DirectoryConfig } from "../../config/config.ts";
import { errorCodeOf } from "../../errors.ts";
import type { SealingKeys } from "../../sealing/sealing-keys.ts";
import type { Database } from "../../store/database.ts";
import { requireCurrentSchema } from "../../store/migrate.ts";
import { getDirectoryMemory } from "../../sync/directories-table.ts";
import type { App } from "../app-type.ts";
import type { Metrics } from "../metrics.ts";
import { ProblemAnswer } from "../problems.ts";
import { Named, Nullable, Words } from "../schemas.ts";

export interface OpenRoutesDeps {
  db: Database;
  directories: readonly Pick<DirectoryConfig, "name">[];
  keys: Pick<SealingKeys, "refresh">;
  metrics: Metrics;
  /** False when GET /metrics has a separate listener. */
  metricsHere: boolean;
}

const Health = Named("Health", { status: Words(["alive"]) });

const Readiness = Named("Readiness", {
  status: Words(["ready"]),
  lastCompleteAt: Nullable(
    Type.String({
      format: "date-time",
      description:
        "When the last complete listing of a directory was applied: of the one that is furthest behind; null when one had none. " +
        "Its age makes nothing unready. Which one it is, the metrics say: this call needs no token, so it names none.",
    }),
  ),
});

export function addOpenRoutes(app: App, deps: OpenRoutesDeps): void {
  const checkReadiness = shared(async () => {
    await requireUsableSchema(deps.db);
    await requireUsableKeys(deps.keys);
    return { status: "ready" as const, lastCompleteAt: await oldestListing(deps) };
  });

  app.get(
    "/healthz",
    {
      schema: { tags: ["open"], summary: "The process lives", response: { 200: Health } },
      config: { scope: "open" },
    },
    async () => ({ status: "alive" as const }),
  );

  app.get(
    "/readyz",
    {
      schema: { tags: ["open"], summary: "Database and schema are good", response: { 200: Readiness } },
      config: { scope: "open", problems: ["unavailable"] },
    },
    checkReadiness,
  );

  if (deps.metricsHere) {
    app.get(
      "/metrics",
      {
        schema: {
          tags: ["metrics"],
          summary: "Metrics in Prometheus' text format",
          response: { 200: { description: "Metrics", content: { "text/plain": { schema: Type.String() } } } },
        },
        config: { scope: "metrics" },
      },
      async (_request, reply) => reply.type(deps.metrics.contentType).send(await deps.metrics.text()),
    );
  }
}

/** Calls that come while one is under way get its answer: nobody without a token can keep more than one connection busy. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | undefined;
  return () => {
    underWay ??= ask().finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}

/** A schema of another version is the operator's to change; until then this process is not to be asked. */
async function requireUsableSchema(db: Database): Promise<void> {
  try {
    await requireCurrentSchema(db);
  } catch (error) {
    const code = errorCodeOf(error);
    if (code !== "schema-too-old" && code !== "schema-too-new") throw error;
    throw new ProblemAnswer({ code: "unavailable", detail: `The database schema cannot be used: ${code}.` });
  }
}

/** Without a key that is in use it would refuse right codes. Its id is in the log, and not for strangers. */
async function requireUsableKeys(keys: Pick<SealingKeys, "refresh">): Promise<void> {
  try {
    await keys.refresh();
  } catch (cause) {
    const code = errorCodeOf(cause);
    if (code !== "key-missing" && code !== "key-wrong") throw cause;
    const problem = { code: "unavailable", detail: `A sealing key cannot be used here: ${code}.` } as const;
    throw new ProblemAnswer(problem, { cause });
  }
}

async function oldestListing({ db, directories }: OpenRoutesDeps): Promise<string | null> {
  const memories = await Promise.all(directories.map(({ name }) => getDirectoryMemory(db, name)));
  const times = memories.map(({ lastCompleteAt }) => lastCompleteAt?.getTime() ?? 0);
  const oldest = times.length === 0 ? 0 : Math.min(...times);
  return oldest === 0 ? null : new Date(oldest).toISOString();
}
