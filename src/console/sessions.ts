// Who has come how far in signing in to the console. A session is worth what its user is worth now: user, authenticator and
// roles are read again at every request. The token is in the cookie alone; forms carry a text made from it.

import { createHash, timingSafeEqual } from "node:crypto";
import type { ConsoleConfig, ConsoleRole } from "../config/config.ts";
import { inTransaction } from "../store/in-transaction.ts";
import type { VerificationDeps } from "../verification/deps.ts";
import { requireActive } from "../verification/standing.ts";
import { findStanding, type Standing } from "../verification/standing-table.ts";
import {
  deleteOldSessions,
  deleteSession,
  insertSession,
  type Stage,
  touchSession,
} from "./console-sessions-table.ts";
import { rolesOf } from "./roles.ts";

export interface Session {
  stage: Stage;
  standing: Standing;
  /** None before both factors were shown. */
  roles: readonly ConsoleRole[];
}

export interface SessionsDeps extends Pick<VerificationDeps, "db" | "directories" | "randomBytes"> {
  config: ConsoleConfig;
}

/** Long enough to find the phone, or to install an app, and no longer: a password alone was shown. */
const beforeCodeMs = 20 * 60_000;
/** A desk, a phone and some forgotten ones; the oldest go. */
const sessionsOfUser = 10;

const cookieForm = /^[\w-]{43}$/; // 32 random bytes as base64url

export class Sessions {
  readonly #deps: SessionsDeps;
  readonly #cookie: { name: string; attributes: string };

  constructor(deps: SessionsDeps) {
    this.#deps = deps;
    const attributes = "Path=/; HttpOnly; SameSite=Strict";
    // With the prefix __Host- browsers take the cookie from this very host alone, over https.
    this.#cookie = deps.config.cookieSecure
      ? { name: "__Host-dirmfa", attributes: `${attributes}; Secure` }
      : { name: "dirmfa", attributes };
  }

  /** The token in a Cookie header, whether or not there is a session for it. Of several none counts. */
  tokenIn(cookieHeader: string | undefined): string | undefined {
    const pairs = (cookieHeader ?? "").split(/; */).map((pair) => pair.split("="));
    const [token, second] = pairs.filter(([name]) => name === this.#cookie.name).map(([, value]) => value);
    return token !== undefined && second === undefined && cookieForm.test(token) ? token : undefined;
  }

  newToken(): string {
    return this.#deps.randomBytes(32).toString("base64url");
  }

  setCookie(token: string): string {
    return `${this.#cookie.name}=${token}; ${this.#cookie.attributes}`;
  }

  endCookie(): string {
    return `${this.#cookie.name}=; ${this.#cookie.attributes}; Max-Age=0`;
  }

  /** The session of a token as it is worth now. One that is worth nothing any more is ended here. */
  async find(token: string, agent: string | undefined): Promise<Session | undefined> {
    const { db, directories, config } = this.#deps;
    const tokenHash = hashOf("token", token);
    const agentHash = hashOf("agent", agent ?? "");
    const stored = await touchSession(db, { tokenHash, agentHash, idleMs: config.session.idleMs });
    if (!stored) return undefined;
    const standing = await findStanding(db, stored.userId);
    const active = standing && requireActive({ kind: "user", standing }, directories);
    const session = active?.outcome === "active" ? sessionOf(stored, active.standing, config) : undefined;
    if (!session) await deleteSession(db, tokenHash);
    return session;
  }

  /** Always under a new token, so that one which somebody planted or saw before is worth nothing. `before` ends. */
  async begin(
    session: { stage: Stage; standing: Standing },
    request: { before: string | undefined; agent: string | undefined },
  ): Promise<{ token: string; roles: ConsoleRole[] }> {
    const { db, config } = this.#deps;
    const { stage, standing } = session;
    const token = this.newToken();
    const { idleMs, absoluteMs } = config.session;
    const { authenticator, user } = standing;
    const roles = stage === "signed-in" ? rolesOf(user, config.roles) : [];
    await inTransaction(db, async (trx) => {
      if (request.before) await deleteSession(trx, hashOf("token", request.before));
      await insertSession(trx, {
        tokenHash: hashOf("token", token),
        agentHash: hashOf("agent", request.agent ?? ""),
        userId: user.id,
        stage,
        authenticatorId: stage === "signed-in" ? (authenticator?.id ?? null) : null,
        roles,
        lastsMs: stage === "signed-in" ? absoluteMs : Math.min(absoluteMs, beforeCodeMs),
      });
      await deleteOldSessions(trx, { idleMs, userId: user.id, kept: sessionsOfUser });
    });
    return { token, roles };
  }

  async end(token: string): Promise<void> {
    await deleteSession(this.#deps.db, hashOf("token", token));
  }
}

/** What a stored session is worth with its user as they are now; undefined: nothing. */
function sessionOf(
  stored: { stage: Stage; authenticatorId: string | null; roles: ConsoleRole[] },
  standing: Standing,
  config: ConsoleConfig,
): Session | undefined {
  const { stage, authenticatorId } = stored;
  if (stage === "signed-in" && standing.authenticator?.id !== authenticatorId) return undefined;
  // Nobody enrolls with a password alone who has an authenticator, and nobody is asked for a code of none.
  if (stage === "enroll" && standing.authenticator) return undefined;
  if (stage === "challenge" && !standing.authenticator) return undefined;
  const now = rolesOf(standing.user, config.roles);
  if (!stored.roles.every((role) => now.includes(role))) return undefined;
  return { stage, standing, roles: stored.roles };
}

/** What the forms of one sign-in carry: made from the cookie, which no page can read. */
export function formTokenOf(token: string): string {
  return hashOf("form", token).toString("base64url");
}

export function isFormTokenOf(token: string, given: string): boolean {
  const wanted = hashOf("form", token);
  const hash = Buffer.from(given, "base64url");
  return hash.length === wanted.length && timingSafeEqual(hash, wanted);
}

function hashOf(purpose: "token" | "agent" | "form", text: string): Buffer {
  return createHash("sha256")
    .update(JSON.stringify(["dirmfa console v1", purpose, text]))
    .digest();
}
