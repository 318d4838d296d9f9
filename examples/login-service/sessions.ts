// Who has come how far in signing in. Kept in memory: a restart signs everybody out, and two processes share nothing.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Enrollment } from "../../src/client/client.ts";

/** After the password: a code is asked, an enrollment is asked, or nothing more is. */
export type Stage = "challenge" | "enroll" | "signed-in";

export interface Session {
  stage: Stage;
  /** `username` is how the directory spells it; `id` is dirmfa's, which no other user ever gets. */
  user: { id: string; username: string; displayName: string };
  /** The page of an application that sent the visitor here, from the list of applications. */
  returnTo?: string | undefined;
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

interface Cookie {
  name: string;
  attributes: string;
}

export class Sessions {
  readonly #sessions = new Map<string, { session: Session; endsAt: number; badge: string }>();
  /** Badge to session id. */
  readonly #badges = new Map<string, string>();
  readonly #csrfKey = randomBytes(32);
  readonly #cookie: Cookie;
  readonly #badgeCookie: Cookie;

  /** `cookieDomain` is the domain that this service and the applications behind the proxy have in common, if any. */
  constructor({ https, cookieDomain }: { https: boolean; cookieDomain?: string | undefined }) {
    const attributes = `Path=/; HttpOnly${https ? "; Secure" : ""}`;
    // With the prefix __Host- browsers take the cookie from this very host alone, over https.
    this.#cookie = {
      name: https ? "__Host-session" : "session",
      attributes: `${attributes}; SameSite=Strict`,
    };
    // Lax, so that a link in a mail opens an application without a new sign-in.
    this.#badgeCookie = {
      name: `${https ? (cookieDomain ? "__Secure-" : "__Host-") : ""}badge`,
      attributes: `${attributes}; SameSite=Lax${cookieDomain ? `; Domain=${cookieDomain}` : ""}`,
    };
  }

  /** The visit that a Cookie header names, or undefined without one. */
  find(cookieHeader: string | undefined): Visit | undefined {
    const id = cookieValue(cookieHeader, this.#cookie.name);
    return id === undefined ? undefined : this.#visit(id);
  }

  /**
   * The visit whose badge a Cookie header has. Applications behind the proxy get to see the badge, so it opens the
   * applications and nothing else: no page here takes it.
   */
  findByBadge(cookieHeader: string | undefined): Visit | undefined {
    const badge = cookieValue(cookieHeader, this.#badgeCookie.name);
    const id = badge === undefined ? undefined : this.#badges.get(badge);
    return id === undefined ? undefined : this.#visit(id);
  }

  /** Always under a new id, so that an id which somebody planted or saw before is worth nothing. */
  begin(session?: Session): Visit {
    const id = randomId();
    const now = Date.now();
    for (const [old, { endsAt }] of this.#sessions) if (endsAt <= now) this.#forget(old);
    if (session) {
      const badge = randomId();
      this.#sessions.set(id, { session, endsAt: now + lifetimesMs[session.stage], badge });
      this.#badges.set(badge, id);
    }
    return this.#visit(id);
  }

  end(visit: Visit): void {
    this.#forget(visit.id);
  }

  /** For the header Set-Cookie. */
  cookiesOf(visit: Visit): string[] {
    const cookies = [`${this.#cookie.name}=${visit.id}; ${this.#cookie.attributes}`];
    const badge = this.#sessions.get(visit.id)?.badge;
    if (visit.session?.stage !== "signed-in" || badge === undefined) return cookies;
    return [...cookies, `${this.#badgeCookie.name}=${badge}; ${this.#badgeCookie.attributes}`];
  }

  #forget(id: string): void {
    const badge = this.#sessions.get(id)?.badge;
    if (badge !== undefined) this.#badges.delete(badge);
    this.#sessions.delete(id);
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

function randomId(): string {
  return randomBytes(32).toString("base64url"); // 43 characters
}

function cookieValue(header: string | undefined, wanted: string): string | undefined {
  const cookies = (header ?? "").split(/; */).map((pair) => pair.split("="));
  const value = cookies.find(([name]) => name === wanted)?.[1];
  return value !== undefined && /^[\w-]{43}$/.test(value) ? value : undefined;
}
