// Users: look (all roles), unlock and hand out passes (admin, help desk), disable and require (admin alone). Every act is the
// API's act, through the same function.

import { listLatestAuditEvents } from "../audit/audit-events-table.ts";
import { nextCursorOf, parseCursor } from "../http/cursor.ts";
import { usernameKeyOf } from "../username.ts";
import { setRequiredByAdmin } from "../users/require-mfa.ts";
import { type UserState as DirectoryState, userStates } from "../users/user.ts";
import { listUsers } from "../users/users-table.ts";
import { type Identification, identifications } from "../verification/answers.ts";
import { disableMfaByAdmin } from "../verification/disable-mfa.ts";
import { issueEnrollmentPass } from "../verification/enrollment-pass.ts";
import { findStanding } from "../verification/standing-table.ts";
import { verificationStateOf } from "../verification/status-of.ts";
import { unlockUser } from "../verification/unlock-user.ts";
import type { ConsoleDeps } from "./deps.ts";
import { notDone, notFound } from "./refusal-pages.ts";
import { everyRole } from "./roles.ts";
import type { Answer, SessionAsked, Site } from "./site.ts";
import { passPage, userNotices, userPage, usersPage } from "./user-pages.ts";

const usersShown = 50;
const eventsShown = 25;
const helpDesk = ["admin", "helpDesk"] as const;
const adminAlone = ["admin"] as const;

export function addUserRoutes(site: Site, { verification }: ConsoleDeps): void {
  const { db, directories } = verification;

  site.get("/users", everyRole, async ({ visit, query }) => {
    const filter = {
      search: (query.get("search") ?? "").slice(0, 256),
      state: query.get("state") ?? "",
      directory: query.get("directory") ?? "",
      group: (query.get("group") ?? "").slice(0, 2000),
      required: query.get("required") ?? "",
      enrolled: query.get("enrolled") ?? "",
      locked: query.get("locked") ?? "",
    };
    const cursor = query.get("cursor");
    const [usernameKey, id] = cursor === null ? [] : parseCursor(cursor, ["text", "uuid"]);
    const users = await listUsers(db, {
      search: searchOf(filter.search),
      state: userStates.find((state): state is DirectoryState => state === filter.state),
      directory: directories.find((name) => name === filter.directory),
      group: searchOf(filter.group),
      required: flagOf(filter.required),
      enrolled: flagOf(filter.enrolled),
      locked: flagOf(filter.locked),
      after: usernameKey === undefined || id === undefined ? undefined : { usernameKey, id },
      limit: usersShown,
    });
    const next = nextCursorOf(users, usersShown, (last) => [usernameKeyOf(last.username), last.id]);
    const nextQuery = next && new URLSearchParams({ ...filter, cursor: next });
    return usersPage(visit, { filter, directories, users, next: nextQuery && `/users?${nextQuery}` });
  });

  site.get("/users/:id", everyRole, (asked) => showUser(asked));

  site.post("/users/:id/unlock", helpDesk, async (asked) => {
    const answer = await unlockUser(verification, { userId: asked.id, actor: asked.actor });
    return answer.outcome === "unlocked" ? done(asked, "unlocked") : notFound(asked.visit);
  });

  site.post("/users/:id/enrollment-pass", helpDesk, async (asked) => {
    const { id, visit, form, actor } = asked;
    const identified = identificationIn(form);
    if (!identified) return notDone(visit, 400, sayHow, `/users/${id}`);
    const answer = await issueEnrollmentPass(verification, { userId: id, actor, identified });
    const standing = await findStanding(db, id);
    if (answer.outcome === "user-unknown" || !standing) return notFound(asked.visit);
    if (answer.outcome === "issued") return passPage(visit, standing.user, answer.pass);
    const text =
      answer.outcome === "already-enrolled"
        ? "There is a registered device already, so that a pass would open nothing."
        : "The directory does not list this user any more.";
    return notDone(visit, 409, text, `/users/${id}`);
  });

  site.post("/users/:id/disable-mfa", adminAlone, async (asked) => {
    const { id, visit, form, actor } = asked;
    if (form.get("sure") !== "yes")
      return notDone(visit, 400, "It was not ticked that MFA should end.", `/users/${id}`);
    const issuePass = form.get("issuePass") === "yes";
    const identified = identificationIn(form);
    if (issuePass && !identified) return notDone(visit, 400, sayHow, `/users/${id}`);
    const answer = await disableMfaByAdmin(verification, { userId: id, actor, issuePass, identified });
    if (answer.outcome === "user-unknown") return notFound(asked.visit);
    if (answer.outcome === "not-enrolled") return notDone(visit, 409, "MFA is off already.", `/users/${id}`);
    const standing = answer.pass && (await findStanding(db, id));
    return answer.pass && standing ? passPage(visit, standing.user, answer.pass) : done(asked, "disabled");
  });

  site.post("/users/:id/mfa-required", adminAlone, async (asked) => {
    const { id, visit, form, actor } = asked;
    const required = flagOf(form.get("required") ?? "");
    if (required === undefined)
      return notDone(visit, 400, "It was not said whether MFA is required.", `/users/${id}`);
    const isKnown = await setRequiredByAdmin(verification, { userId: id, required, actor });
    return isKnown ? done(asked, required ? "required" : "unrequired") : notFound(asked.visit);
  });

  async function showUser(asked: SessionAsked): Promise<Answer> {
    const { visit, query, id } = asked;
    const before = query.get("before") ?? undefined;
    const isPlace = before === undefined || /^\d{1,18}$/.test(before);
    const [standing, state] = await Promise.all([
      findStanding(db, id),
      verificationStateOf(verification, { userId: id }),
    ]);
    if (!standing || !state || !isPlace) return notFound(asked.visit);
    const events = await listLatestAuditEvents(db, { userId: id, before, limit: eventsShown });
    const last = events.length === eventsShown ? events.at(-1) : undefined;
    return userPage(visit, {
      standing,
      verification: state,
      directories,
      events,
      olderEvents: last && `/users/${id}?before=${last.id}#history`,
      notice: userNotices[query.get("done") ?? ""],
    });
  }
}

const sayHow = "Say how you know that it is them.";

function identificationIn(form: URLSearchParams): Identification | undefined {
  return identifications.find((known) => known === form.get("identified"));
}

function done({ id }: SessionAsked, what: string): Answer {
  return { goTo: `/users/${id}?done=${what}` };
}

function flagOf(text: string): boolean | undefined {
  return text === "true" ? true : text === "false" ? false : undefined;
}

/** PostgreSQL takes no text with U+0000, and no name has one. */
function searchOf(text: string): string | undefined {
  const bare = text.replaceAll("\0", "").trim();
  return bare === "" ? undefined : bare;
}
