// Signing in to the console (rule 30): the directory's password first, then a code through the guard of all codes. Nobody is
// signed in by one of them alone; who has no authenticator yet comes as far as their own settings, to enroll.

import { checkPassword } from "../directory/check-password.ts";
import { AppError } from "../errors.ts";
import { getDirectoryMemory } from "../sync/directories-table.ts";
import { usernameKeyOf } from "../username.ts";
import type { Method } from "../verification/answers.ts";
import { signInDecision } from "../verification/decide-sign-in.ts";
import { requireActive } from "../verification/standing.ts";
import { findStanding, findStandingByName, type Standing } from "../verification/standing-table.ts";
import { verifyCode } from "../verification/verify-code.ts";
import { type Attempts, createAttempts, networkOf } from "./attempts.ts";
import type { ConsoleDeps } from "./deps.ts";
import { lengthOf } from "./layout.ts";
import { deniedPage, unavailablePage } from "./refusal-pages.ts";
import { codePage, signInPage, wrongPasswordText } from "./sign-in-pages.ts";
import { type Answer, type Asked, placeOf, type SessionAsked, type Site } from "./site.ts";

/**
 * Fewer than directories lock a user after, over the same time; and an office behind one address may mistype this often. Right
 * passwords alone do not count: whoever hangs up before the answer has had the directory look. Made once a process: another
 * configuration forgets none of them.
 */
export function createSignInLimits(clock: ConsoleDeps["verification"]["clock"]) {
  return {
    ofUser: createAttempts({ most: 5, withinMs: 15 * 60_000 }, clock),
    ofAddress: createAttempts({ most: 50, withinMs: 15 * 60_000 }, clock),
    /** Binds that are under way; each takes two connections to the directory. */
    underWay: { count: 0 },
  };
}

export type SignInLimits = { ofUser: Attempts; ofAddress: Attempts; underWay: { count: number } };

const mostUnderWay = 16;
/** Somebody waits at the page. */
const bindMs = 12_000;
const longestPassword = 1024;

export function addSignInRoutes(site: Site, deps: ConsoleDeps, limits: SignInLimits): void {
  const { verification, config } = deps;
  const directories = config.directories.map(({ name }) => name);

  site.get("/sign-in", "everybody", async ({ visit }) =>
    visit.stage === undefined ? signInPage(visit, directories) : { goTo: placeOf(visit.stage) },
  );

  site.post("/sign-in", "everybody", async (asked) => {
    const usernameAsTyped = (asked.form.get("username") ?? "").slice(0, longestPassword);
    const address = networkOf(asked.request.ip);
    const meant = await findMeant(asked, usernameAsTyped);
    // By user and not by name: each has as many names as the directory gives them.
    const key = meant ? `id:${meant.user.id}` : `name:${usernameKeyOf(usernameAsTyped)}`;
    const retryAfterSeconds = limits.ofAddress.take(address) || limits.ofUser.take(key);
    if (retryAfterSeconds > 0) {
      const text = `There were too many attempts. Try again in ${lengthOf(retryAfterSeconds)}.`;
      const page = signInPage(asked.visit, directories, { text, usernameAsTyped });
      return { page, status: 429, retryAfterSeconds };
    }
    if (limits.underWay.count >= mostUnderWay) return { page: unavailablePage(asked.visit), status: 503 };
    limits.underWay.count += 1;
    try {
      const standing = await judgePassword(asked, meant?.user);
      if (!standing) {
        verification.log.info({ requestId: asked.request.id }, "console: a password was refused");
        const text = wrongPasswordText(directories);
        return { page: signInPage(asked.visit, directories, { text, usernameAsTyped }), status: 403 };
      }
      limits.ofUser.clear(key);
      limits.ofAddress.giveBack(address);
      const stage = standing.authenticator ? "challenge" : "enroll";
      await site.enter(asked, { stage, standing });
      return { goTo: placeOf(stage) };
    } catch (error) {
      if (!(error instanceof AppError) || !error.code.startsWith("directory-")) throw error;
      verification.log.warn(
        { err: error, requestId: asked.request.id },
        "console: no directory to check a password with",
      );
      return { page: unavailablePage(asked.visit), status: 503 };
    } finally {
      limits.underWay.count -= 1;
    }
  });

  async function findMeant({ form }: Asked, username: string): Promise<Standing | undefined> {
    const name = { username, directory: form.get("directory") || undefined };
    const found = requireActive(await findStandingByName(verification.db, name), directories);
    return found.outcome === "active" ? found.standing : undefined;
  }

  /** The standing of the user whose password it is; undefined for a wrong name or password, which take the same time. */
  async function judgePassword(
    { form, signal }: Asked,
    user: Standing["user"] | undefined,
  ): Promise<Standing | undefined> {
    const { db } = verification;
    const passwordSecret = form.get("password") ?? "";
    if (passwordSecret === "" || passwordSecret.length > longestPassword) return undefined;
    const directory =
      config.directories.find(({ name }) => name === user?.directory) ?? config.directories[0];
    if (!directory) return undefined;
    const { kind } = await getDirectoryMemory(db, directory.name);
    const isRight = await checkPassword(directory, {
      directoryId: user?.directoryId,
      rememberedKind: kind ?? undefined,
      passwordSecret,
      signal: AbortSignal.any([signal, AbortSignal.timeout(bindMs)]),
    });
    if (!isRight || !user) return undefined;
    // Asking the directory took a while.
    const now = await findStanding(db, user.id);
    const active = now && requireActive({ kind: "user", standing: now }, directories);
    return active?.outcome === "active" ? active.standing : undefined;
  }

  const codeRoute =
    (method: Method) =>
    async ({ visit, standing }: SessionAsked) => {
      const decision = signInDecision(standing, { directories });
      return codePage(visit, { method, decision, now: standing.now });
    };
  site.get("/sign-in/code", "challenge", codeRoute("totp"));
  site.get("/sign-in/backup-code", "challenge", codeRoute("backup-code"));
  site.post("/sign-in/code", "challenge", (asked) => takeCode(asked, "totp"));
  site.post("/sign-in/backup-code", "challenge", (asked) => takeCode(asked, "backup-code"));

  async function takeCode(asked: SessionAsked, method: Method): Promise<Answer> {
    const { visit, standing, name, actor, signal, form } = asked;
    const code = { method, codeAsTyped: form.get("code") ?? "" };
    const answer = await verifyCode(verification, { name, code, actor, signal });
    deps.metrics.countVerification(method, answer.outcome);
    // The name may be somebody else's since the password was shown.
    if (answer.outcome === "accepted" && answer.user.id === standing.user.id) {
      await site.enter(asked, { stage: "signed-in", standing });
      return { goTo: "/" };
    }
    if (answer.outcome === "code-rejected" || answer.outcome === "locked-out") {
      const now = (await findStanding(verification.db, standing.user.id)) ?? standing;
      const decision = signInDecision(now, { directories });
      const wrong = "This code was not accepted. Each code works once.";
      const page = codePage(visit, { method, decision, now: now.now, wrong });
      return { page, status: answer.outcome === "locked-out" ? 429 : 403 };
    }
    await site.leave(asked);
    return { page: deniedPage(), status: 403 };
  }

  site.post("/sign-out", "everybody", async (asked) => {
    await site.leave(asked);
    return { goTo: "/sign-in" };
  });
}
