// How a page is asked for and sent: the cookie, the form's token, the stage that was reached; and what routes share. Asks
// dirmfa nothing.

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { DirmfaClientError, type UserRequest } from "../../src/client/client.ts";
import type { Html } from "../../src/pages/html.ts";
import type { Applications } from "./applications.ts";
import { outdatedPage } from "./pages.ts";
import type { Session, Sessions, Stage, Visit } from "./sessions.ts";

/** A page, where to go instead, or a file to keep. */
export type Answer = Html | { goTo: string } | { file: string; name: string };

export interface Asked {
  visit: Visit;
  /** Of a POST, its token checked; empty for a GET. */
  form: URLSearchParams;
  /** Where the visitor wants to go afterwards: a page of a listed application. */
  returnTo: string | undefined;
  reply: FastifyReply;
}

export interface Site {
  get(path: string, route: (asked: Asked) => Promise<Answer>): void;
  post(path: string, route: (asked: Asked) => Promise<Answer>): void;
  /** Ends the visit and begins another one, at the stage that was reached. */
  enter(asked: Asked, session: Session | undefined): Visit;
  /** The user of a session, in the form in which dirmfa is asked. */
  nameOf(user: { username: string }): UserRequest;
}

interface SiteParts {
  sessions: Sessions;
  /** Of dirmfa, where it knows more than one. */
  directory: string | undefined;
  applications: Applications;
}

export function createSite(app: FastifyInstance, { sessions, directory, applications }: SiteParts): Site {
  const wishOf = (request: FastifyRequest, form: URLSearchParams) =>
    applications.pageOf(form.get("rd") ?? new URL(request.url, "http://here").searchParams.get("rd"));

  return {
    get(path, route) {
      app.get(path, async (request, reply) => {
        const known = sessions.find(request.headers.cookie);
        // A link from elsewhere comes without a SameSite=Strict cookie. Asked again from here, the browser sends it.
        if (!known && request.headers["sec-fetch-site"] === "cross-site") {
          return reply.header("refresh", "0").type("text/html").send("");
        }
        const visit = known ?? sessions.begin();
        if (!known) reply.header("set-cookie", sessions.cookiesOf(visit));
        const form = new URLSearchParams();
        return send(reply, await route({ visit, form, returnTo: wishOf(request, form), reply }));
      });
    },
    post(path, route) {
      app.post(path, async (request, reply) => {
        const visit = sessions.find(request.headers.cookie);
        const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
        if (!visit || !sessions.isCsrfToken(visit, form.get("csrf") ?? "")) {
          return send(reply.code(403), outdatedPage());
        }
        return send(reply, await route({ visit, form, returnTo: wishOf(request, form), reply }));
      });
    },
    enter({ visit, reply }, session) {
      sessions.end(visit);
      // Kept until it is followed; a session that is signed in has no other use for it.
      const returnTo = session?.returnTo ?? visit.session?.returnTo;
      const next = sessions.begin(session && { ...session, returnTo });
      reply.header("set-cookie", sessions.cookiesOf(next));
      return next;
    },
    nameOf: ({ username }) => (directory === undefined ? { username } : { username, directory }),
  };
}

/** A route for those who have come as far as one of the stages; others go to where they belong. */
export function atStage(
  stages: readonly Stage[],
  route: (asked: Asked, session: Session) => Promise<Answer>,
): (asked: Asked) => Promise<Answer> {
  return async (asked) => {
    const { session } = asked.visit;
    return session && stages.includes(session.stage) ? route(asked, session) : { goTo: placeOf(session) };
  };
}

function placeOf(session: Session | undefined): string {
  if (!session) return "/sign-in";
  return { challenge: "/sign-in/code", enroll: "/enrollment", "signed-in": "/" }[session.stage];
}

/** A name may go to somebody else while a session lasts. Nobody else is signed in, or has their settings changed, by it. */
export function requireSame(user: Session["user"], answered: { id: string } | null): void {
  if (answered?.id !== user.id) throw new DirmfaClientError("user-unknown");
}

/** True for a code or a pass that dirmfa did not take, for whatever reason: the user may have another one. */
export function isCodeRefusal(error: unknown): boolean {
  const refusals: unknown[] = ["code-rejected", "locked-out", "invalid-request", "enrollment-pass-required"];
  return error instanceof DirmfaClientError && refusals.includes(error.code);
}

/** True where an enrollment takes a pass, and none was given. */
export function isPassMissing(error: unknown): boolean {
  return error instanceof DirmfaClientError && error.code === "enrollment-pass-required";
}

export function send(reply: FastifyReply, answer: Answer) {
  if ("goTo" in answer) return reply.redirect(answer.goTo, 303); // 303: with GET, whatever it was before
  if ("file" in answer) {
    reply.header("content-disposition", `attachment; filename="${answer.name}"`);
    return reply.type("text/plain; charset=utf-8").send(answer.file);
  }
  return reply.type("text/html; charset=utf-8").send(answer.text);
}
