// A whole configuration for tests that name only the part that they are about.

import type { Config } from "../../src/config/config.ts";
import { httpConfigOf } from "./http-server.ts";

export function plainConfig(changes: Partial<Config> & Pick<Config, "mfa">): Config {
  return {
    path: "/etc/dirmfa.yaml",
    warnings: [],
    database: { kind: "embedded", folder: "/nowhere" },
    http: httpConfigOf(),
    console: undefined,
    keys: { folder: "/nowhere" },
    audit: { headFolder: "/nowhere", stream: undefined },
    directories: [],
    notices: {
      mail: undefined,
      webhook: undefined,
      adminAddresses: [],
      failedRuns: 3,
      staleAfterMs: 86_400_000,
      remindersMs: [],
      giveUpAfterMs: 86_400_000,
    },
    retention: { removedUsersMs: 86_400_000, syncRunsMs: 86_400_000, auditEventsMs: undefined },
    log: { level: "info" },
    ...changes,
  };
}

/** A schedule that knows no next run, and a chain that is whole. */
export const plainOverview = {
  measureAudit: async () => ({ unsealedSeconds: 0, broken: false }),
  nextRunOf: () => undefined,
};
