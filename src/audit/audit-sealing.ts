// Seals audit events while a daemon runs: soon after they are written, and off the path of those who write them.

import type { Log } from "../log.ts";
import { type SealAuditDeps, sealAuditEvents } from "./seal-audit-events.ts";

// How long an event may be edited unnoticed by somebody who writes to the database without the chain's key.
const everyMs = 2_000;

// How often the log tells the chain's head: who keeps the log elsewhere can show that no end was cut off since.
const tellHeadEveryMs = 3_600_000;

export interface AuditSealing {
  /** Seals what is there, then stops. */
  stop(): Promise<void>;
}

/** Starts sealing; a failure is logged and tried again. */
export function startAuditSealing(deps: SealAuditDeps & { log: Log }): AuditSealing {
  let toldAt = Number.NEGATIVE_INFINITY;
  const seal = async () => {
    try {
      const answer = await sealAuditEvents(deps);
      if (answer.outcome === "busy" || performance.now() - toldAt < tellHeadEveryMs) return;
      toldAt = performance.now();
      deps.log.info({ head: `${answer.head.position}:${answer.head.mac}` }, "audit chain head");
    } catch (error) {
      deps.log.warn({ err: error }, "audit events not sealed; tried again");
    }
  };
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let round = Promise.resolve();
  const next = () => {
    timer = setTimeout(() => {
      round = seal().then(() => {
        if (!stopped) next();
      });
    }, everyMs);
  };
  next();
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await round;
      await seal();
    },
  };
}
