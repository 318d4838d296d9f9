// Which tests run where: on PostgreSQL, but for *.embedded.test.ts, and those of `onBothEngines` on the embedded database as
// well. `npm test` leaves out `interop`, which starts servers of other makers, `e2e`, the demo and the login service as their
// users see them, and `properties`, which tries what comes to chance, and thousands of runs, for some minutes; each has its own command.

import { defineConfig } from "vitest/config";
import type { ServerName } from "./scripts/servers/install-servers.ts";

// Installed where missing before a project's first test, since apt can take longer than a test may.
const servers: ServerName[] = ["slapd", "postgresql"];
// What the front doors are tried with, beside the directories of other makers.
const ofOthers: ServerName[] = [
  ...(["samba", "389-ds", "freeradius", "openssh", "sudo", "pam-radius"] as const),
  ...(["nginx", "apache", "caddy", "haproxy", "lemonldap", "chromium", "oathtool"] as const),
];
const globalSetup = ["test/support/global-setup.ts"];

// An embedded database lives for seconds in a test: optimizing its machine code costs more than that ever gives back.
const execArgv = ["--liftoff-only"];

// The embedded database runs the same statements on a newer PostgreSQL, over one connection. One file an area shows that
// its statements work there; every rule is shown on PostgreSQL, which costs a tenth of the time.
const onBothEngines = [
  "test/store/**/*.test.ts",
  "test/users/users-table.test.ts",
  "test/sync/{run-sync,groups,growth}.test.ts",
  "test/audit/chain.test.ts",
  "test/verification/{enrollment,rotate-keys}.test.ts",
];

// A process runs file after file: to load the program and its libraries anew for each of many small files took a third of all time.
const isolate = false;

// The tests of a file run in an order that is not the written one, so that none leans on what another has left. Files of the other
// projects tell stories in steps. One seed for all, so that a run can be repeated; --sequence.seed=N takes another.
const sequence = { shuffle: { tests: true } };
const seed = 1;

export default defineConfig({
  test: {
    // Real servers on a small machine; a test that hangs is still found.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Tests wait for servers more than they compute: more of them at once than there are cores.
    maxWorkers: 4,
    execArgv,
    setupFiles: ["test/support/searched-logs.ts"],
    sequence: { seed },
    projects: [
      { extends: true, test: { name: "checks", isolate, sequence, include: ["test/checks/**/*.test.ts"] } },
      {
        extends: true,
        test: {
          name: "postgres",
          isolate,
          sequence,
          include: ["test/**/*.test.ts"],
          exclude: ["test/checks/**", "test/{interop,e2e,properties}/**", "test/**/*.embedded.test.ts"],
          provide: { engine: "postgres", servers },
          globalSetup,
        },
      },
      {
        extends: true,
        test: {
          name: "embedded",
          isolate,
          sequence,
          include: [...onBothEngines, "test/**/*.embedded.test.ts"],
          exclude: ["test/**/*.postgres.test.ts"],
          provide: { engine: "embedded", servers },
          globalSetup,
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          provide: { engine: "postgres", servers: [...servers, "chromium", "oathtool", "zbar"] },
          globalSetup,
          // A browser and a demo beside each other are slow enough.
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: "properties",
          include: ["test/properties/**/*.test.ts"],
          provide: { engine: "postgres", servers },
          globalSetup,
          // Five minutes of rounds, and the last one on a slow machine.
          testTimeout: 480_000,
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: "properties-embedded",
          include: ["test/properties/growth.test.ts"],
          provide: { engine: "embedded", servers },
          globalSetup,
          testTimeout: 480_000,
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: "interop",
          include: ["test/interop/**/*.test.ts"],
          provide: { engine: "postgres", servers: [...servers, ...ofOthers] },
          globalSetup,
          // A domain takes some ten seconds to make, much longer beside other work.
          hookTimeout: 180_000,
          // Each file has a large server of its own.
          maxWorkers: 2,
        },
      },
    ],
  },
});
