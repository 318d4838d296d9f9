// Which tests run where. A file named *.postgres.test.ts needs a PostgreSQL server and *.embedded.test.ts the embedded
// database; all other tests of the listed folders run on both engines.

import { defineConfig } from "vitest/config";

const globalSetup = ["test/support/global-setup.ts"];

export default defineConfig({
  test: {
    // Real servers on a small machine; a test that hangs is still found.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: "checks", include: ["test/checks/**/*.test.ts"] } },
      {
        extends: true,
        test: {
          name: "postgres",
          include: ["test/**/*.test.ts"],
          exclude: ["test/checks/**", "test/**/*.embedded.test.ts"],
          provide: { engine: "postgres" },
          globalSetup,
        },
      },
      {
        extends: true,
        test: {
          name: "embedded",
          include: ["test/{store,users,sync,audit,verification}/**/*.test.ts"],
          exclude: ["test/**/*.postgres.test.ts"],
          provide: { engine: "embedded" },
          globalSetup,
        },
      },
    ],
  },
});
