// Who has come how far in signing in. Kept in memory: a restart signs everybody out, and two processes share nothing.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Enrollment } from "../../src/client/client.ts";

/** After the password: a code is asked, an enrollment is asked, or nothing more is. */
export type Stage = "challenge" | "enroll" | "signed-in";

export interface Session {
  stage: Stage;
  /** `username` is how the directory spells it; `id` is dirmfa's, which no other user ever gets. */
  user: { id: string; username: string; displayName: string };
  /** Begun and not confirmed; its secret never leaves this process but on the enrollment page. */
  enrollment?: Enrollment | undefined;
  /** Shown on the next page, once. */
  notice?: string | undefined;
}

/** A browser with a cookie. Without a session nobody has shown a password yet. */
export interface Visit {
  id: string;
  csrfToken: string;
  session: Session | undefined;
}

const lifetimesMs: Record<Stage, number> = {
  challenge: 10 * 60_000, // to find the phone
  enroll: 30 * 60_000, // to find and install an app; dirmfa's own limit begins later
  "signed-in": 8 * 3_600_000, // a working day
};

export class Sessions {
  readonly #sessions = new Map<string, { session: Session; endsAt: number }>();
  readonly #csrfKey = randomBytes(32);
  readonly #cookie: { name: string; attributes: string };

  constructor({ https }: { https: boolean }) {
    const attributes = "Path=/; HttpOnly; SameSite=Strict";
    // With the prefix __Host- browsers take the cookie from this very host alone, over https.
    this.#cookie = https
      ? { name: "__Host-session", attributes: `${attributes}; Secure` }
      : { name: "session", attributes };
  }

  /** The visit that a Cookie header names, or undefined without one. */
  find(cookieHeader: string | undefined): Visit | undefined {
    const cookies = (cookieHeader ?? "").split(/; */).map((pair) => pair.split("="));
    const id = cookies.find(([name]) => name === this.#cookie.name)?.[1];
    return id === undefined || !/^[\w-]{43}$/.test(id) ? undefined : this.#visit(id);
  }

  /** Always under a new id, so that an id which somebody planted or saw before is worth nothing. */
  begin(session?: Session): Visit {
    const id = randomBytes(32).toString("base64url"); // 43 characters
    const now = Date.now();
    for (const [old, { endsAt }] of this.#sessions) if (endsAt <= now) this.#sessions.delete(old);
    if (session) this.#sessions.set(id, { session, endsAt: now + lifetimesMs[session.stage] });
    return this.#visit(id);
  }

  end(visit: Visit): void {
    this.#sessions.delete(visit.id);
  }

  setCookie(visit: Visit): string {
    return `${this.#cookie.name}=${visit.id}; ${this.#cookie.attributes}`;
  }

  isCsrfToken(visit: Visit, token: string): boolean {
    const [wanted, given] = [Buffer.from(visit.csrfToken), Buffer.from(token)];
    return wanted.length === given.length && timingSafeEqual(wanted, given);
  }

  // Tokens follow from ids, so that a visitor who only looks at the sign-in form takes no memory.
  #visit(id: string): Visit {
    const known = this.#sessions.get(id);
    const csrfToken = createHmac("sha256", this.#csrfKey).update(id).digest("base64url");
    return { id, csrfToken, session: known && known.endsAt > Date.now() ? known.session : undefined };
  }
}
