// The flow behind `POST /validate/check` and `/validate/triggerchallenge`: the sign-in decision, a code, the first code of an
// enrollment, or "later", in the words of the privacyIDEA protocol. Every code goes through the guard that all codes go through.

import { type Refusal, refusalAnswer } from "../../http/refusals.ts";
import type { SignInDecision, UserName } from "../../verification/answers.ts";
import { beginEnrollment } from "../../verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../verification/confirm-enrollment.ts";
import { decideSignIn } from "../../verification/decide-sign-in.ts";
import { verifyCode } from "../../verification/verify-code.ts";
import { codeIn, type DoorCaller, type DoorDeps } from "../door.ts";
import { accepted, challenged, type Envelope, errorCodes, failed, rejected } from "./envelope.ts";
import { openTransaction, type TransactionOf, transactionIdOf } from "./transaction.ts";

export interface CheckRequest {
  caller: DoorCaller;
  name: UserName;
  /** Empty: what is asked of the user? */
  passAsTyped: string;
  /** `transaction_id` or `state`, where one came. */
  transactionId: string | undefined;
  /** Aborted when the caller has gone. */
  signal: AbortSignal;
}

const says = {
  accepted: "You are signed in.",
  notAsked: "No second factor is needed.",
  enterCode: "Enter the code of your authenticator app, or a backup code.",
  scan: "Scan the QR code with your authenticator app, then enter the code that the app shows.",
  mustEnroll: "Multi-factor authentication is required. Set it up on your settings page first.",
  later: "Multi-factor authentication is to be set up later.",
  wrongCode: "The code is not valid.",
  noCode: "Enter the 6 digits of your authenticator app, or a backup code.",
  lockedOut: "Too many failed codes. Try again later.",
  startAgain: "This sign-in took too long. Start again.",
  refused: "The sign-in is refused.",
} as const;

/** Answers a decision for an empty `pass`, else verifies what was typed. */
export async function checkCode(deps: DoorDeps, request: CheckRequest): Promise<Envelope> {
  const { passAsTyped, transactionId, caller } = request;
  const now = deps.clock.now();
  const transaction = transactionId === undefined ? undefined : transactionOf(deps, transactionId, caller);
  if (transactionId !== undefined) {
    if (!transaction) return rejected(now, says.startAgain);
    const decision = await decide(deps, request.name);
    if (decision?.user?.id !== transaction.userId) return rejected(now, says.startAgain);
  }
  if (passAsTyped === "") return answerDecision(deps, request);
  return transaction?.purpose === "enrollment" ? confirm(deps, request) : verify(deps, request);
}

/** "Later", from the page that shows the QR code: lets in while the grace period lasts (rule 13). */
export async function deferEnrollment(
  deps: DoorDeps,
  request: Omit<CheckRequest, "passAsTyped" | "signal">,
): Promise<Envelope> {
  const now = deps.clock.now();
  const transaction = transactionOf(deps, request.transactionId ?? "", request.caller);
  if (transaction?.purpose !== "enrollment") return rejected(now, says.startAgain);
  const decision = await decide(deps, request.name);
  if (!decision || decision.user?.id !== transaction.userId) return rejected(now, says.startAgain);
  const mayGoOn = decision.decision === "allow" || decision.enrollment?.mayDefer === true;
  return mayGoOn ? accepted(now, says.later) : rejected(now, says.mustEnroll);
}

// One key for all replicas. After a rotation the transactions under way have to start again.
function transactionOf(deps: DoorDeps, id: string, caller: DoorCaller): TransactionOf | undefined {
  return openTransaction(deps.keys.active().transactionKey, id, caller.name, deps.clock.now());
}

async function decide(deps: DoorDeps, name: UserName): Promise<SignInDecision | undefined> {
  const answer = await decideSignIn(deps, { name });
  return answer.outcome === "decided" ? answer : undefined;
}

async function answerDecision(deps: DoorDeps, request: CheckRequest): Promise<Envelope> {
  const now = deps.clock.now();
  const decision = await decide(deps, request.name);
  if (!decision) return rejected(now, says.refused);
  deps.metrics.countDecision(decision.decision);
  const { user } = decision;
  if (!user || decision.decision === "deny") return refusedBy(now, request.caller, decision.reasons);
  if (decision.decision === "allow") return accepted(now, says.notAsked);
  if (decision.decision === "challenge") {
    return challenged(now, {
      message: says.enterCode,
      serial: serialOf(user.id),
      transactionId: transactionFor(deps, request, user.id, "sign-in"),
    });
  }
  return enroll(deps, request, decision.enrollment?.mayDefer ?? false);
}

function refusedBy(now: Date, caller: DoorCaller, reasons: readonly string[]): Envelope {
  if (reasons.includes("user-unknown") && caller.learnsUnknown) {
    return failed(now, errorCodes.userUnknown, "ERR904: The user can not be found.");
  }
  return rejected(now, reasons.includes("locked-out") ? says.lockedOut : says.refused);
}

async function enroll(deps: DoorDeps, request: CheckRequest, mayDefer: boolean): Promise<Envelope> {
  const { caller, name, signal } = request;
  const now = deps.clock.now();
  if (!caller.checksPassword) {
    return mayDefer ? accepted(now, says.later) : rejected(now, says.mustEnroll);
  }
  const begun = await beginEnrollment(deps, { name, actor: caller.actor, signal });
  if (begun.outcome === "enrollment-pass-required") {
    return mayDefer ? accepted(now, says.later) : rejected(now, says.mustEnroll);
  }
  // The user was enrolled, disabled or removed after the decision, so it has to be made again.
  if (begun.outcome !== "begun") return rejected(now, says.startAgain);
  return challenged(now, {
    message: says.scan,
    serial: serialOf(begun.user.id),
    transactionId: transactionFor(deps, request, begun.user.id, "enrollment"),
    enrollment: { image: begun.qrPng, link: begun.uri, mayDefer },
  });
}

function transactionFor(
  deps: DoorDeps,
  { caller }: CheckRequest,
  userId: string,
  purpose: TransactionOf["purpose"],
): string {
  const of = { purpose, userId, caller: caller.name };
  return transactionIdOf(deps.keys.active().transactionKey, of, deps.clock.now());
}

async function verify(
  deps: DoorDeps,
  { name, caller, passAsTyped, signal }: CheckRequest,
): Promise<Envelope> {
  const now = deps.clock.now();
  const code = codeIn(passAsTyped);
  // A password that a plugin sends along is no guess of a code (rule 29).
  if (!code) return rejected(now, says.noCode);
  const answer = await verifyCode(deps, { name, code, actor: caller.actor, signal });
  deps.metrics.countVerification(code.method, answer.outcome);
  if (answer.outcome === "accepted") return accepted(now, says.accepted, serialOf(answer.user.id));
  return refusedCode(now, caller, answer);
}

async function confirm(
  deps: DoorDeps,
  { name, caller, passAsTyped, signal }: CheckRequest,
): Promise<Envelope> {
  const now = deps.clock.now();
  if (!caller.checksPassword) return rejected(now, says.refused);
  if (codeIn(passAsTyped)?.method !== "totp") return rejected(now, says.noCode);
  const answer = await confirmEnrollment(deps, {
    name,
    totpAsTyped: passAsTyped,
    actor: caller.actor,
    signal,
  });
  deps.metrics.countVerification("totp", answer.outcome);
  if (answer.outcome === "confirmed") return accepted(now, says.accepted, serialOf(answer.user.id));
  return refusedCode(now, caller, answer);
}

function refusedCode(now: Date, caller: DoorCaller, refusal: Refusal): Envelope {
  const { outcome } = refusal;
  if (outcome === "code-rejected") return rejected(now, says.wrongCode);
  if (outcome === "locked-out") return rejected(now, says.lockedOut);
  // Nothing that the user typed: unavailable where only the key is missing here, as in the API.
  if (outcome === "secret-unreadable") throw refusalAnswer(refusal, now);
  return refusedBy(now, caller, [outcome]);
}

/** Names an authenticator for a client that wants a serial number; it says nothing. */
function serialOf(userId: string): string {
  return `TOTP${userId.replaceAll("-", "").slice(-8).toUpperCase()}`;
}
