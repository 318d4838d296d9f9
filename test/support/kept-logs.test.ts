// The search of logs for secrets finds them, in whatever form they were written (rule 22).

import { expect, test } from "vitest";
import {
  basicFormsOf,
  createKeptLog,
  keptLines,
  noteCode,
  noteSecret,
  secretsIn,
  secretsInLogs,
} from "./kept-logs.ts";

const search = (text: string, secret: string) =>
  secretsIn(text, { secrets: new Set([secret]), codes: new Set() });
const searchCode = (text: string, code: string) =>
  secretsIn(text, { secrets: new Set(), codes: new Set([code]) });

test.each([
  ["in a path", '{"url":"/privacyidea/TOKEN-0123/validate/check"}', "TOKEN-0123"],
  ["as the value of a field", '{"password":"pässword 1"}', "pässword 1"],
  ["escaped in JSON", '{"message":"bind with pass\\"word 1 refused"}', 'pass"word 1'],
  ["escaped in a URL", "/x?pass=p%C3%A4ss%20word", "päss word"],
])("a secret %s is found", (_, text, secret) => {
  expect(search(text, secret)).toEqual([secret]);
});

test("a code is found as a separate word, and not in a time or in a longer number", () => {
  for (const text of ['{"totp":"123456"}', "totp=123456&x", "123456"]) {
    expect(searchCode(text, "123456")).toEqual(["123456"]);
  }
  for (const text of ["12:00:01.123456Z", '{"ms":0.123456}', "1234567", "a-9123456-b", "x123456"]) {
    expect(searchCode(text, "123456")).toEqual([]);
  }
});

test.each(["a", "an", "any", "name"])(
  "a token is found as the password of Basic, behind the name %s",
  (name) => {
    const token = "some-token-of-43-letters";
    const line = `Basic ${Buffer.from(`${name}:${token}`).toString("base64")}`;
    expect(basicFormsOf(token).filter((form) => line.includes(form))).toHaveLength(1);
  },
);

test("what is noted is looked for in every kept log", () => {
  noteSecret("some password");
  noteCode("482915");
  const { log, lines } = createKeptLog();
  const program = keptLines("program");
  log.trace({ fine: "nothing" }, "a line");
  expect(secretsInLogs()).toEqual([]);
  program.push("it says some password\n");
  lines.push('{"note":"482915"}\n');
  expect(secretsInLogs()).toEqual([
    'log: 482915 in {"note":"482915"}',
    "program: some password in it says some password",
  ]);
  // Nothing of it may be left, or the search after this file's tests fails.
  program.length = 0;
  lines.length = 0;
});
