// What a reverse proxy asks before each request to an application: who is signed in? 200 with the user in headers, or 401 with
// the way to sign in. examples/reverse-proxies has the proxies' side.

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { type Client, DirmfaClientError, type UserRequest } from "../../src/client/client.ts";
import { html } from "../../src/pages/html.ts";
import type { Applications } from "./applications.ts";
import type { Session, Sessions, Visit } from "./sessions.ts";
import { requireSame } from "./site.ts";

interface ForwardAuthDeps {
  publicUrl: URL;
  applications: Applications;
  sessions: Sessions;
  dirmfa: Client;
  nameOf(user: { username: string }): UserRequest;
}

type User = Awaited<ReturnType<Client["status"]>>["user"];

// A user who was disabled or removed stays signed in for this long at most.
const askedAgainMs = 60_000;

export function addForwardAuth(app: FastifyInstance, deps: ForwardAuthDeps): void {
  const { publicUrl, applications, sessions, dirmfa, nameOf } = deps;
  if (applications.origins.length === 0) return;
  const known = new WeakMap<Session, { user: User; askedAt: number }>();

  app.get("/forward-auth", async (request, reply) => {
    const visit = sessions.findByBadge(request.headers.cookie);
    const user = visit?.session?.stage === "signed-in" ? await userOf(visit, visit.session) : undefined;
    return user ? reply.headers(headersOf(user)).send() : sendToSignIn(request, reply);
  });

  /** Undefined for one who has left. Throws when dirmfa gives no answer: nobody is let in then. */
  async function userOf(visit: Visit, session: Session): Promise<User | undefined> {
    const last = known.get(session);
    if (last && Date.now() - last.askedAt < askedAgainMs) return last.user;
    try {
      const askedAt = Date.now();
      const { user } = await dirmfa.status(nameOf(session.user));
      requireSame(session.user, user);
      known.set(session, { user, askedAt });
      return user;
    } catch (error) {
      if (!(error instanceof DirmfaClientError)) throw error;
      if (!["user-unknown", "user-not-active"].includes(error.code)) throw error;
      sessions.end(visit);
      return undefined;
    }
  }

  // In four ways, as proxies differ in what they hand on: nginx reads Location, others show the answer, whose page leads on.
  function sendToSignIn(request: FastifyRequest, reply: FastifyReply) {
    const signIn = new URL("/sign-in", publicUrl);
    const page = applications.pageOf(wantedPage(request.headers));
    if (page !== undefined) signIn.searchParams.set("rd", page);
    return reply
      .code(401)
      .headers({ location: signIn.href, refresh: `0; url=${signIn.href}` })
      .type("text/html; charset=utf-8")
      .send(html`<!doctype html><title>Sign in</title><a href="${signIn.href}">Sign in</a>`.text);
  }
}

/** What the browser asked the proxy for. Only a hint: nobody is sent to what is not in the list. */
function wantedPage(headers: FastifyRequest["headers"]): string | undefined {
  const part = (name: string) => headers[`x-forwarded-${name}`];
  const [proto, host, uri] = [part("proto"), part("host"), part("uri")];
  if (typeof proto !== "string" || typeof host !== "string") return undefined;
  return `${proto}://${host}${typeof uri === "string" && uri.startsWith("/") ? uri : "/"}`;
}

// All of them each time, empty where there is nothing, so that a header which a browser made up is always overwritten.
function headersOf({ username, displayName, email, groups }: User) {
  return {
    "remote-user": bytesOf(username),
    "remote-name": bytesOf(displayName ?? ""),
    "remote-email": bytesOf(email ?? ""),
    // A comma in a group's name must not make two groups of it.
    "remote-groups": groups.map((group) => bytesOf(group.replace(/[%,]/g, encodeURIComponent))).join(","),
  };
}

/** UTF-8, in the form in which Node.js writes headers: a character a byte. */
function bytesOf(text: string): string {
  return Buffer.from(text.replace(/\p{Cc}/gu, " "), "utf8").toString("latin1");
}
