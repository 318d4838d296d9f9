// Runs beside every test file: after the last of its tests, no log that it kept may hold a token, a code, a secret or a password
// that it used (rules 22 and 29).

import { afterAll, expect } from "vitest";
import { forgetLogs, secretsInLogs } from "./kept-logs.ts";

// Registered before the hooks of the test file, so it runs after them: what is logged while all is stopped is searched too.
afterAll(() => {
  const found = secretsInLogs();
  forgetLogs();
  expect(found).toEqual([]);
});
