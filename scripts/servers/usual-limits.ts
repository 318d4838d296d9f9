// The limits that a directory has unless its configuration says otherwise. Frozen: who changes one of them makes another object.

import type { Limit, LimitName } from "../../src/config/config.ts";

export const usualLimits: Record<LimitName, Limit> = Object.freeze({
  removals: Object.freeze({ count: 10, percent: 5 }),
  disables: Object.freeze({ count: 10, percent: 5 }),
  enables: Object.freeze({ count: 5, percent: 10 }),
  renames: Object.freeze({ count: 10, percent: 5 }),
  requirements: Object.freeze({ count: 10, percent: 5 }),
  newIds: Object.freeze({ count: 5, percent: 1 }),
});
