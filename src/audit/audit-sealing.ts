// Seals audit events while a daemon runs: soon after they are written, and off the path of those who write them. Keeps the
// end of the chain outside the database, follows it from there, and says so when it does not go on.

import type { Log } from "../log.ts";
import { startRounds } from "../rounds.ts";
import type { Actor } from "./audit-events-table.ts";
import type { ChainPoint } from "./chain.ts";
import { cutOldEvents } from "./cut-old-events.ts";
import type { Break } from "./follow-chain.ts";
import { type KeptHead, notedHeadOf, readKeptHead, writeKeptHead } from "./noted-head.ts";
import { type SealAuditDeps, sealAuditEvents } from "./seal-audit-events.ts";
import { findOldestWaiting } from "./seals-table.ts";

// How long an event may be edited unnoticed by somebody who writes to the database without the chain's key.
const everyMs = 2_000;

// How often the log tells the chain's head, and whatever is wrong for longer.
const tellEveryMs = 3_600_000;

// Far more rounds than a busy service needs; something keeps the events from being sealed.
const waitingTooLongMs = 5 * 60_000;

export interface AuditSealingDeps extends SealAuditDeps {
  log: Log;
  /** `audit.headFolder` of the configuration. */
  headFolder: string;
  /** Who cuts off old events. */
  actor: Actor;
  /** Told each round in which the chain does not go on, with the kind of break. A failure of it is logged. */
  onBroken?(kind: string): Promise<void>;
  /** How long events are kept; undefined: for ever. Asked each time, since the configuration may be read again. */
  retentionMs(): number | undefined;
}

export interface AuditSealing {
  /** Seconds that the oldest event waits for its seal, and whether this process refuses to seal over a break. */
  measure(): Promise<{ unsealedSeconds: number; broken: boolean }>;
  /** Seals what is there, then stops. */
  stop(): Promise<void>;
}

/** Starts sealing; a failure is logged and tried again. */
export function startAuditSealing(deps: AuditSealingDeps): AuditSealing {
  const tell = createTeller(deps.log);
  const heads = createHeadKeeper(deps, tell);
  let broken = false;
  const measure = async () => {
    const oldest = await findOldestWaiting(deps.db);
    const waitedMs = oldest ? deps.clock.now().getTime() - oldest.getTime() : 0;
    return { unsealedSeconds: Math.max(0, waitedMs / 1000), broken };
  };

  const round = async () => {
    const answer = await sealAuditEvents(deps, { kept: await heads.read() });
    broken = answer.outcome === "broken";
    if (answer.outcome === "broken") {
      tell.error(
        "broken",
        "the audit chain is broken; nothing is sealed until someone looks",
        factsOf(answer.broken),
      );
      await deps.onBroken?.(answer.broken.kind);
      return;
    }
    tell.forget("broken");
    await heads.keep(answer.head);
    if (answer.outcome === "sealed" && answer.late.length > 0) {
      const events = answer.late.slice(0, 20).map(({ kind, eventId }) => `${kind} ${eventId}`);
      deps.log.warn(
        { count: answer.late.length, events },
        "audit events were sealed long after the time they name",
      );
    }
    if (answer.outcome === "sealed") await cutWhenDue(deps, tell);
  };
  const seal = async () => {
    try {
      await round();
    } catch (error) {
      deps.log.warn({ err: error }, "audit events not sealed; tried again");
    }
    // That the database is away has been logged already.
    const { unsealedSeconds } = await measure().catch(() => ({ unsealedSeconds: 0 }));
    if (unsealedSeconds * 1000 < waitingTooLongMs) tell.forget("waiting");
    else
      tell.error("waiting", "audit events wait for their seal", {
        unsealedSeconds: Math.round(unsealedSeconds),
      });
  };

  const rounds = startRounds({ round: seal, pauseMs: () => everyMs });
  return {
    measure,
    async stop() {
      await rounds.stop();
      await seal();
    },
  };
}

async function cutWhenDue(deps: AuditSealingDeps, tell: Teller): Promise<void> {
  const retentionMs = deps.retentionMs();
  if (retentionMs === undefined || !tell.isDue("cut")) return;
  const answer = await cutOldEvents(deps, { retentionMs, actor: deps.actor });
  if (answer.outcome === "cut" && answer.events > 0) {
    deps.log.info({ events: answer.events }, "audit retention applied");
  }
  if (answer.outcome === "refused") {
    deps.log.error(
      { problems: answer.problems.length },
      "old audit events stay: they are not as they were sealed",
    );
  }
}

interface HeadKeeper {
  /** The end of the chain that was seen last; undefined before the first. */
  read(): Promise<KeptHead | undefined>;
  keep(head: ChainPoint): Promise<void>;
}

/** In memory from the first round on, so that a folder that cannot be written costs no more than the memory of restarts. */
function createHeadKeeper({ headFolder, clock, log }: AuditSealingDeps, tell: Teller): HeadKeeper {
  let kept: KeptHead | undefined;
  let isRead = false;
  return {
    async read() {
      if (isRead) return kept;
      kept = await readKeptHead(headFolder);
      isRead = true;
      if (!kept)
        log.info(
          { headFolder },
          "no end of the audit chain was noted here; the present one is taken as true",
        );
      return kept;
    },
    async keep(point) {
      const head = notedHeadOf(point);
      if (tell.isDue("head")) log.info({ head: `${head.position}:${head.mac}` }, "audit chain head");
      if (kept?.position === head.position && kept.mac === head.mac) return;
      kept = { ...head, notedAt: clock.now() };
      try {
        await writeKeptHead(headFolder, kept);
      } catch (error) {
        tell.error("head-file", "the end of the audit chain is not kept outside the database", {
          err: error,
          headFolder,
        });
      }
    },
  };
}

/** Constant facts about a break; an event's content is not among them. */
function factsOf(broken: Break): Record<string, unknown> {
  const remedy = "Run `dirmfa audit verify`; after a restored backup, `dirmfa audit accept`.";
  if (broken.kind !== "not-as-sealed") return { ...broken, remedy };
  const problems = broken.problems.slice(0, 20).map(({ kind, eventId }) => `${kind} ${eventId}`);
  return { kind: broken.kind, problems, remedy };
}

interface Teller {
  error(topic: string, phrase: string, facts: Record<string, unknown>): void;
  /** True the first time, and then once in a while. */
  isDue(topic: string): boolean;
  forget(topic: string): void;
}

function createTeller(log: Log): Teller {
  const toldAt = new Map<string, number>();
  const isDue = (topic: string) => {
    const last = toldAt.get(topic);
    if (last !== undefined && performance.now() - last < tellEveryMs) return false;
    toldAt.set(topic, performance.now());
    return true;
  };
  return {
    isDue,
    error(topic, phrase, facts) {
      if (isDue(topic)) log.error(facts, phrase);
    },
    forget: (topic) => void toldAt.delete(topic),
  };
}
