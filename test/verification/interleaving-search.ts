// A search over interleavings (rules 14, 15, 18, 20, 24 and 31): of every two flows on one user, the first is stopped before each of its
// statements in turn, the second runs to its end or until it waits for the first, and then the first goes on. Whatever
// came between, the answers, the rows and the audit events must be those of one of the two flows after the other. Only
// PostgreSQL: the embedded database has one connection.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../src/store/database.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { type GatedDatabase, openGatedDatabase } from "../support/gated-database.ts";
import {
  createSubjects,
  endRetention,
  type FlowName,
  flows,
  type StateName,
  type Subject,
  type Traces,
  type Typing,
  takeTraces,
} from "./interleaved-flows.ts";
import { openVerificationWorld, type VerificationWorld } from "./verification-world.ts";

/** A separate database with two replicas, so that searches beside each other meet nobody. */
interface Lane {
  world: VerificationWorld;
  replicas: [Replica, Replica];
}

interface Replica {
  gated: GatedDatabase;
  deps: VerificationDeps;
}

// Enough to keep two cores busy while answers of the database are on their way.
const laneCount = 4;
// Of the longest flow, with room for some more; each needs its own user.
const mostStatements = 25;
// Of a flow that goes round and round while another one holds a row.
const mostPassed = 60;

async function openLane(): Promise<Lane> {
  const world = await openVerificationWorld();
  const openReplica = async (): Promise<Replica> => {
    const gated = openGatedDatabase(world.database.config, `gated-${randomUUID()}`);
    return { gated, deps: await world.replica({ backupCodes: { count: 2 } }, gated.db) };
  };
  return { world, replicas: [await openReplica(), await openReplica()] };
}

const ofActive: FlowName[] = ["replace", "disable", "regenerate", "verifyTotp"];
const ofBackupCodes: FlowName[] = ["replaceWithBackupCode", "verifyBackupCode"];

/** Change no authenticator; nothing is to be found where two of them meet that the guard's own tests do not find. */
const bystanders: FlowName[] = [
  "verifyTotp",
  "verifyBackupCode",
  "unlock",
  "require",
  "remove",
  "disableInDirectory",
  "renameDirectory",
];

/** Concern all users, so that nobody else may be there when they run. */
const ofAll: FlowName[] = ["rotate", "settleRestored", "renameDirectory"];

function mayMeet(first: FlowName, second: FlowName): boolean {
  // The second rotation finds the first one's key at work; test/sealing is about that.
  if (first === second) return first !== "rotate";
  // Only disabling asks whether MFA is required.
  if (first === "require" || second === "require") return first === "disable" || second === "disable";
  return !(bystanders.includes(first) && bystanders.includes(second));
}

interface Pair {
  state: StateName;
  flows: [FlowName, FlowName];
  /** Which code each of them types, if it types one. */
  typings: [Typing, Typing];
}

function pairsOf(state: StateName, meeting: FlowName[]): Pair[] {
  return meeting.flatMap((first) =>
    meeting.flatMap((second): Pair[] => {
      if (!mayMeet(first, second)) return [];
      const flowNames: Pair["flows"] = [first, second];
      const different: Pair = { state, flows: flowNames, typings: [0, 1] };
      const same: Pair = { state, flows: flowNames, typings: [0, 0] };
      const mayTypeTheSame =
        first === second ||
        (flowNames.includes("verifyTotp") && flowNames.every((flow) => ofActive.includes(flow))) ||
        flowNames.every((flow) => ofBackupCodes.includes(flow));
      return mayTypeTheSame ? [different, same] : [different];
    }),
  );
}

/** What can be seen of two flows when both have ended. */
interface Seen {
  answers: [string, string];
  traces: Traces;
}

/** The two flows one after the other; `statements` of the first of them. */
async function runSerially(lane: Lane, pair: Pair, subject: Subject, order: [0 | 1, 0 | 1]) {
  const answers: [string, string] = ["", ""];
  let statements = 0;
  for (const index of order) {
    const { gated } = lane.replicas[index];
    gated.open();
    answers[index] = await answerOf(lane, pair, subject, index);
    if (index === 0) statements = gated.passed();
  }
  return { statements, seen: { answers, traces: await takeTraces(lane.world, subject) } };
}

/** The second flow comes after `statements` of the first. */
async function interleave(lane: Lane, pair: Pair, subject: Subject, statements: number): Promise<Seen> {
  const [{ gated: first }, { gated: second }] = lane.replicas;
  first.letThrough(statements);
  second.open();
  const firstAnswer = answerOf(lane, pair, subject, 0);
  await Promise.race([firstAnswer, first.stopped()]);
  let secondEnded = false;
  const secondAnswer = answerOf(lane, pair, subject, 1).finally(() => {
    secondEnded = true;
  });
  // Nobody but the first flow is there to wait for, and it stands still: once is for as long as it does.
  // A rotation does not wait: it leaves a row that is held, and looks again.
  while (!secondEnded && second.passed() < mostPassed && !(await second.waitsForLock(lane.world.database.db)))
    await sleep(3);
  first.open();
  const answers: [string, string] = [await firstAnswer, await secondAnswer];
  return { answers, traces: await takeTraces(lane.world, subject) };
}

async function answerOf({ replicas }: Lane, pair: Pair, subject: Subject, index: 0 | 1): Promise<string> {
  try {
    return (await flows[pair.flows[index]](replicas[index].deps, subject, pair.typings[index])).outcome;
  } catch (error) {
    return `thrown: ${error}`;
  }
}

const granted =
  /^(begun|confirmed|disabled|regenerated|accepted|issued|unlocked|done|purged|restored|rotated|settled|renamed)/;
/** A code that was judged against an authenticator that has gone meanwhile is a wrong code, and no more is told. */
const codeRejected = "code-rejected";

/** What is wrong with what was seen, or undefined when it is what one of the orders gives. */
function wrongIn(seen: Seen, serial: Seen[]): string | undefined {
  return serial.some((one) => agrees(seen, one, serial))
    ? undefined
    : JSON.stringify({ seen, serial }, null, 1);
}

function agrees(seen: Seen, one: Seen, serial: Seen[]): boolean {
  const answersAgree = seen.answers.every((answer, index) => {
    const expected = one.answers[index] ?? "";
    if (answer === expected) return true;
    // Refused here as there; the reason may be that of the other order.
    const reasons = [codeRejected, ...serial.map(({ answers }) => answers[index])];
    return !granted.test(answer) && !granted.test(expected) && reasons.includes(answer);
  });
  return answersAgree && JSON.stringify(comparable(seen.traces)) === JSON.stringify(comparable(one.traces));
}

/** Refused codes aside: how they are counted and why they are said to be wrong depends on when they were judged. */
function comparable({ user, authenticators, passes, events }: Traces) {
  return {
    user,
    authenticators,
    passes,
    events: events.filter((event) => !/^verification (?!accepted)/.test(event)),
  };
}

/** Of one run, by itself: what must hold whatever the flows are. */
function unsafeIn({ answers, traces }: Seen, pair: Pair): string | undefined {
  if (answers.some((answer) => answer.startsWith("thrown"))) return "a flow threw an error";
  const accepted = traces.events.filter((event) => event.startsWith("verification accepted")).length;
  const took = answers.filter((answer, index) => {
    const flow = pair.flows[index];
    const takesNoCode = flow === "begin" || flow === "disableByAdmin";
    return !takesNoCode && /^(begun|confirmed|disabled|regenerated|accepted)$/.test(answer);
  }).length;
  if (took !== accepted) return "answers and audit events disagree";
  const sameCode = pair.typings[0] === pair.typings[1];
  if (sameCode && accepted > 1) return "a spent code was accepted";
  const active = traces.authenticators.find((one) => one.includes(" active"));
  const confirmed = traces.events.filter((event) => event.startsWith("enrollment-confirm")).length;
  const ended = traces.events.some((event) => event.startsWith("mfa-disable done"));
  if (confirmed > 0 && !active && !ended) return "a confirmed authenticator is gone";
  return undefined;
}

async function searchPair(lane: Lane, pair: Pair): Promise<{ wrong: string[]; tried: number }> {
  const meetsAll = pair.flows.some((flow) => ofAll.includes(flow));
  const subjects = meetsAll ? [] : await createSubjects(lane.world, pair.state, 3 + mostStatements);
  const nextSubject = async () => {
    const subject = meetsAll ? (await createSubjects(lane.world, pair.state, 1))[0] : subjects.pop();
    if (!subject) throw new Error("not enough users");
    await endRetention(lane.world, subject);
    return subject;
  };
  const forward = await runSerially(lane, pair, await nextSubject(), [0, 1]);
  const backward = await runSerially(lane, pair, await nextSubject(), [1, 0]);
  const serial = [forward.seen, backward.seen];
  // A purge leaves a user who is being changed for its next round, as if the retention time were not over.
  const unripe = pair.flows.includes("purge") ? subjects.pop() : undefined;
  if (unripe) serial.push((await runSerially(lane, pair, unripe, [0, 1])).seen);

  const wrong: string[] = [];
  const note = (seen: Seen, statements: number) => {
    const found = unsafeIn(seen, pair) ?? wrongIn(seen, serial);
    if (found) wrong.push(`${pair.state}: ${pair.flows.join(" | ")} after ${statements}: ${found}`);
  };
  for (const seen of serial) note(seen, 0);
  const tried = Math.max(0, forward.statements - 1);
  for (let statements = 1; statements <= tried; statements++) {
    note(await interleave(lane, pair, await nextSubject(), statements), statements);
  }
  await lane.world.database.db("users").delete();
  return { wrong, tried };
}

export interface Search {
  /** What no order of the two flows explains. */
  wrong: string[];
  /** How many interleavings were tried. */
  tried: number;
  /** Transactions that were in each other's way and were tried again; in one order of locks there are none. */
  deadlocks: number;
}

/** Lets every two of the flows named for a state meet in it. */
export async function searchInterleavings(meetings: Partial<Record<StateName, FlowName[]>>): Promise<Search> {
  const pairs = Object.entries(meetings).flatMap(([state, meeting]) => pairsOf(state as StateName, meeting)); // the record's own keys
  const lanes = await Promise.all(Array.from({ length: laneCount }, openLane));
  const search: Search = { wrong: [], tried: 0, deadlocks: 0 };
  try {
    await Promise.all(
      lanes.map(async (lane) => {
        for (let pair = pairs.pop(); pair; pair = pairs.pop()) {
          const found = await searchPair(lane, pair);
          search.wrong.push(...found.wrong);
          search.tried += found.tried;
        }
      }),
    );
    for (const { world } of lanes) search.deadlocks += await countDeadlocks(world.database.db);
    return search;
  } finally {
    for (const { world, replicas } of lanes) {
      for (const { gated } of replicas) await gated.close();
      await world.close();
    }
  }
}

async function countDeadlocks(db: Database): Promise<number> {
  const { rows } = await db.raw<{ rows: { deadlocks: number }[] }>(
    "select deadlocks::int from pg_stat_database where datname = current_database()",
  );
  return rows[0]?.deadlocks ?? 0;
}
