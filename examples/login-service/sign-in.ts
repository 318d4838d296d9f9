// Signing in: the password, then what dirmfa decides. `followDecision` and a verified code are the only ways in here.

import type { Client, SignIn } from "../../src/client/client.ts";
import { codePage, deniedPage, homePage, lockedOutPage, type Method, signInPage } from "./pages.ts";
import type { CheckPassword } from "./password.ts";
import type { Session } from "./sessions.ts";
import { type Answer, type Asked, atStage, isCodeRefusal, requireSame, type Site } from "./site.ts";

// What dirmfa decides, the stage that a right password leads to, and the page. `deny` is not among them.
const steps = {
  allow: { stage: "signed-in", goTo: "/" },
  challenge: { stage: "challenge", goTo: "/sign-in/code" },
  enroll: { stage: "enroll", goTo: "/enrollment" },
} as const;

export function addSignInRoutes(
  { get, post, enter, nameOf }: Site,
  { dirmfa, checkPassword }: { dirmfa: Client; checkPassword: CheckPassword },
): void {
  get(
    "/",
    atStage(["signed-in"], async ({ visit }, session) => {
      const { notice, returnTo } = session;
      session.returnTo = undefined;
      if (returnTo !== undefined && notice === undefined) return { goTo: returnTo };
      session.notice = undefined;
      return homePage(visit, session.user, { notice, returnTo });
    }),
  );

  get("/sign-in", async ({ visit, returnTo }) =>
    visit.session?.stage === "signed-in" ? { goTo: returnTo ?? "/" } : signInPage(visit, { returnTo }),
  );

  post("/sign-in", async (asked) => {
    const usernameAsTyped = asked.form.get("username") ?? "";
    const username = await checkPassword(usernameAsTyped.trim(), asked.form.get("password") ?? "");
    if (username === undefined) {
      asked.reply.code(403);
      return signInPage(asked.visit, { returnTo: asked.returnTo, usernameAsTyped });
    }
    return followDecision(asked, username, await dirmfa.signIn(nameOf({ username })));
  });

  /** For the user whose password was right, and for no one else. */
  async function followDecision(asked: Asked, username: string, answer: SignIn): Promise<Answer> {
    if (answer.decision === "deny" || answer.user === null) {
      enter(asked, undefined);
      asked.reply.code(403);
      return answer.reasons.includes("locked-out") ? lockedOutPage(answer.lockedUntil) : deniedPage();
    }
    const { stage, goTo } = steps[answer.decision];
    const { id, displayName } = answer.user;
    enter(asked, {
      stage,
      user: { id, username, displayName: displayName ?? username },
      returnTo: asked.returnTo,
    });
    return { goTo };
  }

  // Asked again at each step: a lockout, an admin's reset or the end of a deadline may have changed what is asked.
  async function decisionFor(user: Session["user"]): Promise<SignIn> {
    const answer = await dirmfa.signIn(nameOf(user));
    requireSame(user, answer.user);
    return answer;
  }

  async function askForCode(asked: Asked, user: Session["user"], method: Method, isWrong: boolean) {
    const answer = await decisionFor(user);
    if (answer.decision !== "challenge") return followDecision(asked, user.username, answer);
    return codePage(asked.visit, { method, isWrong, answer });
  }

  const codePaths = [
    ["totp", "/sign-in/code"],
    ["backup-code", "/sign-in/backup-code"],
  ] as const;
  for (const [method, path] of codePaths) {
    get(
      path,
      atStage(["challenge"], (asked, { user }) => askForCode(asked, user, method, false)),
    );

    post(
      path,
      atStage(["challenge"], async (asked, { user }) => {
        const code = asked.form.get("code") ?? "";
        try {
          const typed = method === "totp" ? { totp: code } : { backupCode: code };
          const verified = await dirmfa.verify({ ...nameOf(user), ...typed });
          requireSame(user, verified.user);
          const left = `You used a backup code. You have ${verified.backupCodesRemaining} left.`;
          enter(asked, { stage: "signed-in", user, notice: method === "totp" ? undefined : left });
          return { goTo: "/" };
        } catch (error) {
          if (!isCodeRefusal(error)) throw error;
          asked.reply.code(403);
          return askForCode(asked, user, method, true);
        }
      }),
    );
  }

  post(
    "/sign-in/later",
    atStage(["enroll"], async (asked, { user }) => {
      const answer = await decisionFor(user);
      if (!answer.enrollment?.mayDefer) return followDecision(asked, user.username, answer);
      enter(asked, { stage: "signed-in", user, notice: "You can set up two-step sign-in in the settings." });
      return { goTo: "/" };
    }),
  );

  post("/sign-out", async (asked) => {
    enter(asked, undefined);
    return { goTo: "/sign-in" };
  });
}
