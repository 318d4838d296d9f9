// The limits that a directory has unless its configuration says otherwise.

import type { Limit, LimitName } from "../../src/config/config.ts";

export const usualLimits: Record<LimitName, Limit> = {
  removals: { count: 10, percent: 5 },
  disables: { count: 10, percent: 5 },
  enables: { count: 5, percent: 10 },
  renames: { count: 10, percent: 5 },
  requirements: { count: 10, percent: 5 },
  newIds: { count: 5, percent: 1 },
};
