// Enrollment as a whole: for admins and auditors to look at and to export.

import { nextCursorOf, parseCursor } from "../http/cursor.ts";
import type { Database } from "../store/database.ts";
import { usernameKeyOf } from "../username.ts";
import { findCoverage, listEnrolledByDay } from "../users/coverage-table.ts";
import { usersAsCsv } from "../users/users-csv.ts";
import { listUsers } from "../users/users-table.ts";
import type { ConsoleDeps } from "./deps.ts";
import { enrollmentPage } from "./enrollment-pages.ts";
import type { Site } from "./site.ts";

const who = ["admin", "auditor"] as const;
const usersShown = 50;
/** Who must, and has not. */
const missingFilter = { state: "active", required: true, enrolled: false } as const;
const daysShown = 90;

export function addEnrollmentRoutes(site: Site, { verification: { db } }: ConsoleDeps): void {
  site.get("/enrollment", who, async ({ visit, query }) => {
    const cursor = query.get("cursor");
    const [usernameKey, id] = cursor === null ? [] : parseCursor(cursor, ["text", "uuid"]);
    const after = usernameKey === undefined || id === undefined ? undefined : { usernameKey, id };
    const [coverage, days, missing] = await Promise.all([
      findCoverage(db),
      listEnrolledByDay(db, daysShown),
      listMissing(db, after, usersShown),
    ]);
    const next = nextCursorOf(missing, usersShown, (last) => [usernameKeyOf(last.username), last.id]);
    return enrollmentPage(visit, { coverage, days, missing, next: next && `/enrollment?cursor=${next}` });
  });

  site.get("/enrollment/missing.csv", who, async () => ({
    file: usersAsCsv(db, missingFilter),
    name: "not-enrolled.csv",
    type: "text/csv; charset=utf-8",
  }));
}

type Place = { usernameKey: string; id: string } | undefined;

function listMissing(db: Database, after: Place, limit: number) {
  return listUsers(db, { ...missingFilter, after, limit });
}
