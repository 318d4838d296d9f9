// LemonLDAP::NG's REST second factor: it posts the user and what was typed, and reads `result`. The portal has checked the
// password. A rejected code is an answer with 200, since the portal takes every other status for a broken server.

import type { FastifyRequest } from "fastify";
import { Type } from "typebox";
import type { App } from "../http/app-type.ts";
import { refusalAnswer } from "../http/refusals.ts";
import { decideSignIn } from "../verification/decide-sign-in.ts";
import { verifyCode } from "../verification/verify-code.ts";
import { codeIn, type DoorCaller, type DoorDeps, type DoorRoutesDeps, openDoor } from "./door.ts";

const Answer = Type.Object({ result: Type.Boolean() }, { additionalProperties: false });
// The portal sends what its administrator lists; other fields than these two are not looked at.
const Typed = Type.Object({ user: Type.String({ maxLength: 1024 }), code: Type.String({ maxLength: 1024 }) });

/** Adds nothing unless a caller has this protocol. */
export function addLemonldapRoutes(app: App, deps: DoorRoutesDeps): void {
  const enter = openDoor(deps, "lemonldap");
  if (!enter) return;
  const options = {
    schema: { hide: true, body: Typed, response: { 200: Answer } },
    config: { scope: "open" },
    onRequest: async (request: FastifyRequest) => void enter(request), // before the body is read
  } as const;
  for (const root of ["/lemonldap", "/lemonldap/:token"]) {
    app.post(`${root}/verify`, options, async (request) => {
      const caller = enter(request);
      const { user, code } = request.body;
      const name = { username: user };
      caller.takeTurn(name);
      return { result: await letsIn(deps, { caller, name, typed: code, signal: request.waiting }) };
    });
  }
}

async function letsIn(
  deps: DoorDeps,
  asked: { caller: DoorCaller; name: { username: string }; typed: string; signal: AbortSignal },
): Promise<boolean> {
  const { name, typed, caller, signal } = asked;
  const answer = await decideSignIn(deps, { name });
  if (answer.outcome !== "decided") return false;
  deps.metrics.countDecision(answer.decision);
  // The portal asks everybody for a code for whom its rule is on; of some of them dirmfa asks nothing.
  if (answer.decision === "allow" || answer.enrollment?.mayDefer === true) return true;
  const code = answer.decision === "challenge" ? codeIn(typed) : undefined;
  if (!code) return false;
  const verified = await verifyCode(deps, { name, code, actor: caller.actor, signal });
  deps.metrics.countVerification(code.method, verified.outcome);
  // No answer about the code: the portal must not tell the user that it was wrong.
  if (verified.outcome === "secret-unreadable") throw refusalAnswer(verified, deps.clock.now());
  return verified.outcome === "accepted";
}
