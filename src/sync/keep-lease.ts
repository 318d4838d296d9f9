// Keeps a directory's lease while its run lists and plans. The only timer of a run.

import { AppError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import { type Lease, renewLease } from "../store/leases-table.ts";

// How long a dead replica blocks its directory. Long enough for two renewals to fail on a short database outage.
export const leaseTtlMs = 60_000;
const renewEveryMs = leaseTtlMs / 3;

/** Of the lease that lets one run at a time work on `directory`. */
export function syncLeaseName(directory: string): string {
  return `sync:${directory}`;
}

export interface KeptLease extends Disposable {
  /** Aborted with AppError `lease-lost` once the lease is lost. */
  signal: AbortSignal;
  stop(): void;
}

/** Renews `lease` until stopped. A failing renewal is tried again; the lease is lost when a renewal is refused, or when none succeeds for a whole term. */
export function keepLease(deps: { db: Database; log: Log }, lease: Lease): KeptLease {
  const controller = new AbortController();
  let renewedAt = performance.now();
  const lose = () => controller.abort(new AppError("lease-lost", "Another replica took the directory over."));
  const renew = async () => {
    try {
      if (await renewLease(deps.db, lease, leaseTtlMs)) renewedAt = performance.now();
      else lose();
    } catch (error) {
      deps.log.warn({ err: error, lease: lease.name }, "lease not renewed");
      if (performance.now() - renewedAt > leaseTtlMs) lose();
    }
  };
  const timer = setInterval(() => void renew(), renewEveryMs);
  const stop = () => clearInterval(timer);
  return { signal: controller.signal, stop, [Symbol.dispose]: stop };
}
