// What every sign-in asks of the database, for all sign-ins of the process that come at the same moment: where users stand in one
// select, and TOTP codes spent in one statement and one commit (rule 33). One a process, so that they meet.

import { createBatches } from "../store/batches.ts";
import type { Database } from "../store/database.ts";
import { tryAgain } from "../store/in-transaction.ts";
import type { UserName } from "./answers.ts";
import { type StepAttempt, spendSteps } from "./guard-batch-table.ts";
import { type GuardOutcome, spendStep } from "./guard-table.ts";
import { type NamedStepAttempt, type SpentStep, spendNamedSteps } from "./named-batch-table.ts";
import { createRemembered, type RememberedAuthenticator } from "./remembered.ts";
import { findSignInStandings, type NamedSignInStanding } from "./sign-in-standing-table.ts";
import { findStandingsByName, type NamedStanding } from "./standing-table.ts";
import { givenUp } from "./waiting-caller.ts";

export interface Together {
  /** As `findStandingByName`. */
  findStanding(name: UserName): Promise<NamedStanding>;
  /** The same for a decision, with less of it. */
  findSignInStanding(name: UserName): Promise<NamedSignInStanding>;
  /** As `spendStep`, tried again where another transaction was in the way. Throws AppError `aborted` for a right code when nobody waits any more. */
  spendStep(attempt: WaitingAttempt): Promise<Outcome>;
  /** The authenticator that the name led to when it was last looked up. A guess, for `spendNamedStep` alone. */
  rememberedOf(name: UserName): RememberedAuthenticator | undefined;
  /**
   * Both in one statement, for a code that was compared with a remembered authenticator: who the user is, and the code spent.
   * Undefined, with nothing done, where what is stored is not what was remembered, or where another transaction holds the user.
   */
  spendNamedStep(attempt: WaitingNamedAttempt): Promise<SpentStep | undefined>;
}

/** Undefined when the user has no lockout row: nothing was written. */
type Outcome = GuardOutcome | undefined;

export interface WaitingAttempt extends StepAttempt {
  signal: AbortSignal | undefined;
}

export interface WaitingNamedAttempt extends NamedStepAttempt {
  signal: AbortSignal | undefined;
}

// One of each kind: a second one at the same time would halve both, and what a statement costs by itself is much of what it costs
// (docs/performance.md). 100 rows take the database some milliseconds.
const bounds = { running: 1, most: 100 };

export function createTogether(db: Database): Together {
  const remembered = createRemembered();
  const findStanding = createBatches<UserName, NamedStanding>({
    ...bounds,
    run: (names) => findStandingsByName(db, names),
  });
  const findSignInStanding = createBatches<UserName, NamedSignInStanding>({
    ...bounds,
    run: (names) => findSignInStandings(db, names),
  });
  const noted = <Found extends NamedSignInStanding>(name: UserName, found: Found): Found => {
    remembered.note(name, found.kind === "user" ? found.standing : undefined);
    return found;
  };
  return {
    findStanding: async (name) => noted(name, await findStanding(name)),
    findSignInStanding: async (name) => noted(name, await findSignInStanding(name)),
    rememberedOf: (name) => remembered.find(name),
    spendNamedStep: createBatches<WaitingNamedAttempt, SpentStep | undefined>({
      ...bounds,
      run: (attempts) => tryAgain(() => spendNamedSteps(db, attempts)),
      keyOf: ({ attempt }) => attempt.userId,
      refusalOf,
    }),
    spendStep: createBatches<WaitingAttempt, Outcome>({
      ...bounds,
      run: (attempts) => spendAll(db, attempts),
      // The guard's rows are a user's; a second code of the same user is judged after the first, and a user whose rows somebody holds
      // takes one connection however many codes come.
      keyOf: ({ attempt }) => attempt.userId,
      refusalOf,
    }),
  };
}

// Nothing is granted to a caller that has gone; a wrong code counts all the same.
function refusalOf({ attempt, signal }: WaitingAttempt): Error | undefined {
  return attempt.mismatch === undefined && signal?.aborted ? givenUp() : undefined;
}

// The batch ends with its statement, which waits for nobody; who is left out waits for those in the way by itself.
async function spendAll(
  db: Database,
  attempts: readonly WaitingAttempt[],
): Promise<(Outcome | Promise<Outcome>)[]> {
  const outcomes = await tryAgain(() => spendSteps(db, attempts));
  return attempts.map((attempt, index) => outcomes[index] ?? spendAlone(db, attempt));
}

function spendAlone(db: Database, { attempt, limits, code }: WaitingAttempt): Promise<Outcome> {
  return tryAgain(() => spendStep(db, attempt, limits, code));
}
