// How a page of the console is asked for and sent: the cookie, the form's token, where a form came from, who may ask. Every
// route says who; whatever does not pass here reaches no route. Knows no page but those that refuse.

import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Actor } from "../audit/audit-events-table.ts";
import type { ConsoleRole } from "../config/config.ts";
import type { App } from "../http/app-type.ts";
import type { Html } from "../pages/html.ts";
import { uuidPattern } from "../uuid.ts";
import type { UserName } from "../verification/answers.ts";
import type { Standing } from "../verification/standing-table.ts";
import { noRolePage, notFound, outdatedPage, signedOutPage } from "./refusal-pages.ts";
import { formTokenOf, isFormTokenOf, type Session, type Sessions } from "./sessions.ts";
import type { Visit } from "./visit.ts";

/**
 * Who may ask: everybody; who has shown a password and owes a code (`challenge`); everybody who may see their own settings
 * (`own`: signed in, or without an authenticator yet); who has shown both factors; or, of those, who has one of some roles.
 */
export type Who = "everybody" | "challenge" | "own" | "signed-in" | readonly ConsoleRole[];

export interface ConsoleRoute {
  method: "GET" | "POST";
  path: string;
  who: Who;
}

/** A page, where to go instead, a page that refuses, or a file to keep. */
export type Answer =
  | Html
  | { goTo: string }
  | { page: Html; status: number; retryAfterSeconds?: number }
  | { file: string | AsyncIterable<string>; name: string; type: string };

export interface Asked {
  visit: Visit;
  /** Of a POST, its token checked; empty for a GET. */
  form: URLSearchParams;
  query: URLSearchParams;
  /** The id in the path, where the route has one. */
  id: string;
  /** The name in the path, where the route has one. */
  param: string;
  /** Aborted when nobody waits any more. */
  signal: AbortSignal;
  request: FastifyRequest;
  reply: FastifyReply;
}

export interface SessionAsked extends Asked {
  session: Session;
  standing: Standing;
  /** The person, by the directory that their password is of. */
  actor: Actor;
  /** Who they are, for flows that go by name. */
  name: UserName;
}

export interface Site {
  readonly routes: readonly ConsoleRoute[];
  get(path: string, who: "everybody", route: (asked: Asked) => Promise<Answer>): void;
  get(path: string, who: Exclude<Who, "everybody">, route: (asked: SessionAsked) => Promise<Answer>): void;
  post(path: string, who: "everybody", route: (asked: Asked) => Promise<Answer>): void;
  post(path: string, who: Exclude<Who, "everybody">, route: (asked: SessionAsked) => Promise<Answer>): void;
  /** Ends the visit's session and begins another one, under another token. */
  enter(asked: Asked, session: Pick<Session, "stage" | "standing">): Promise<void>;
  leave(asked: Asked): Promise<void>;
}

export function createSite(
  app: App,
  sessions: Sessions,
  publicOrigin: string | undefined,
  isTls: boolean,
): Site {
  const routes: ConsoleRoute[] = [];

  const visitOf = async (request: FastifyRequest) => {
    const { cookie, "user-agent": agent } = request.headers;
    const known = sessions.tokenIn(cookie);
    const session = known === undefined ? undefined : await sessions.find(known, agent);
    const token = known ?? sessions.newToken();
    const visit: Visit = {
      token,
      formToken: formTokenOf(token),
      path: request.url.split("?")[0] ?? "/",
      stage: session?.stage,
      user: session?.standing.user,
      roles: session?.roles ?? [],
    };
    return { visit, session, isNew: known === undefined };
  };

  const add = (method: "GET" | "POST", path: string, who: Who, route: (asked: never) => Promise<Answer>) => {
    routes.push({ method, path, who });
    app.route({
      method,
      url: path,
      handler: async (request, reply) => {
        const { visit, session, isNew } = await visitOf(request);
        if (method === "GET") {
          // A link from elsewhere comes without a SameSite=Strict cookie. Asked again from here, the browser sends it.
          if (isNew && request.headers["sec-fetch-site"] === "cross-site") {
            return reply.header("refresh", "0").type("text/html; charset=utf-8").send("");
          }
          if (isNew) reply.header("set-cookie", sessions.setCookie(visit.token));
        }
        const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
        const refused =
          (method === "POST" && refusalOfForm(request, visit, form, isNew)) || refusalOf(who, visit, method);
        if (refused) return send(reply, refused);
        const { id = "", name = "" } = request.params as { id?: string; name?: string }; // as the paths name them
        if (path.includes(":id") && !uuidPattern.test(id)) return send(reply, notFound(visit));
        const asked: Asked = {
          visit,
          form,
          query: new URLSearchParams(request.url.split("?")[1] ?? ""),
          id,
          param: name,
          signal: request.waiting,
          request,
          reply,
        };
        // The types of `get` and `post` pair a route with what it is given; `who` was checked above.
        return send(reply, await route((session ? withSession(asked, session) : asked) as never));
      },
    });
  };

  const refusalOfForm = (request: FastifyRequest, visit: Visit, form: URLSearchParams, isNew: boolean) => {
    if (
      isNew ||
      !isFromHere(request, publicOrigin, isTls) ||
      !isFormTokenOf(visit.token, form.get("form") ?? "")
    )
      return { page: outdatedPage(visit), status: 403 };
    return undefined;
  };

  return {
    routes,
    get: (path: string, who: Who, route: (asked: never) => Promise<Answer>) => add("GET", path, who, route),
    post: (path: string, who: Who, route: (asked: never) => Promise<Answer>) => add("POST", path, who, route),
    async enter({ visit, request, reply }, session) {
      const agent = request.headers["user-agent"];
      const { token, roles } = await sessions.begin(session, { before: visit.token, agent });
      reply.header("set-cookie", sessions.setCookie(token));
      visit.token = token;
      visit.formToken = formTokenOf(token);
      visit.stage = session.stage;
      visit.roles = roles;
    },
    async leave({ visit, reply }) {
      await sessions.end(visit.token);
      reply.header("set-cookie", sessions.endCookie());
    },
  };
}

/** Browsers say with every form where it stood. One that comes without, or from elsewhere, is not ours. */
function isFromHere({ headers }: FastifyRequest, publicOrigin: string | undefined, isTls: boolean): boolean {
  const { origin, host } = headers;
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin") return false;
  if (origin === undefined || host === undefined) return false;
  return origin === (publicOrigin ?? `${isTls ? "https" : "http"}://${host}`);
}

/** Undefined: they may. */
function refusalOf(who: Who, visit: Visit, method: "GET" | "POST"): Answer | undefined {
  if (who === "everybody") return undefined;
  const { stage, roles } = visit;
  const may =
    stage !== undefined &&
    (who === "own" ? stage !== "challenge" : stage === (who === "challenge" ? who : "signed-in"));
  if (!may) {
    if (method === "POST") return { page: signedOutPage(visit), status: 403 };
    return { goTo: placeOf(stage) };
  }
  if (typeof who === "string" || who.some((role) => roles.includes(role))) return undefined;
  return { page: noRolePage(visit), status: 403 };
}

/** Where somebody of this stage belongs. */
export function placeOf(stage: Visit["stage"]): string {
  if (stage === undefined) return "/sign-in";
  return { challenge: "/sign-in/code", enroll: "/settings", "signed-in": "/" }[stage];
}

function withSession(asked: Asked, session: Session): SessionAsked {
  const { user } = session.standing;
  return {
    ...asked,
    session,
    standing: session.standing,
    actor: { name: `${user.username} (${user.directory})`, via: "console", requestId: asked.request.id },
    name: { username: user.username, directory: user.directory },
  };
}

async function send(reply: FastifyReply, answer: Answer): Promise<FastifyReply> {
  if ("goTo" in answer) return reply.redirect(answer.goTo, 303); // 303: with GET, whatever it was before
  if ("file" in answer) {
    reply.header("content-disposition", `attachment; filename="${answer.name}"`).type(answer.type);
    return reply.send(typeof answer.file === "string" ? answer.file : Readable.from(answer.file));
  }
  const { page, status } = "page" in answer ? answer : { page: answer, status: 200 };
  if ("retryAfterSeconds" in answer && answer.retryAfterSeconds !== undefined)
    reply.header("retry-after", String(answer.retryAfterSeconds));
  return reply.code(status).type("text/html; charset=utf-8").send(page.text);
}
