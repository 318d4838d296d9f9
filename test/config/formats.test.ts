// Durations, addresses and the other small formats of the configuration.

import fc from "fast-check";
import cron from "node-cron";
import { describe, expect, test } from "vitest";
import { isCron, isLoopback, parseDuration, parseListenAddress } from "../../src/config/formats.ts";

describe("durations", () => {
  test.each([
    ["0s", 0],
    ["30s", 30_000],
    ["15m", 900_000],
    ["12h", 43_200_000],
    ["7d", 604_800_000],
  ])("%s", (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  test.each(["", "5", "s", "-1s", "1.5h", "1h30m", "5 m", "5M", "1w", "1e3s", "12345678s", "٣s", "5s\n"])(
    "%j is none",
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );
});

describe("listen addresses", () => {
  test.each([
    ["127.0.0.1:8420", { kind: "tcp", host: "127.0.0.1", port: 8420 }],
    ["[::1]:0", { kind: "tcp", host: "::1", port: 0 }],
    ["localhost:65535", { kind: "tcp", host: "localhost", port: 65_535 }],
    ["unix:/run/dirmfa.sock", { kind: "unix", path: "/run/dirmfa.sock" }],
  ])("%s", (text, address) => {
    expect(parseListenAddress(text)).toEqual(address);
  });

  test.each([
    "",
    ":8420",
    "8420",
    "localhost",
    "::1:80",
    "[::g]:80",
    "[127.0.0.1]:80",
    "h:65536",
    "h:-1",
    "unix:",
  ])("%j is none", (text) => {
    expect(parseListenAddress(text)).toBeUndefined();
  });
});

test.each([
  ["localhost", true],
  ["LOCALHOST", true],
  ["127.9.9.9", true],
  ["::1", true],
  ["127.evil.org", false],
  ["localhost.evil.org", false],
  ["10.0.0.1", false],
])("%s is loopback: %s", (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

describe("cron", () => {
  test.each([
    "* * * * *",
    "*/15 * * * *",
    "0 2 * * mon-fri",
    "0 0 1 JAN *",
    "30 0 2 * * *",
    "1,2,10-20/5 * * * 7",
    " 0  2 * * * ",
    "0 0 29 2 *",
    "0 0 31 2,3 *",
  ])("%j fires", (text) => {
    expect(isCron(text)).toBe(true);
  });

  test.each([
    "",
    "* * * *",
    "* * * * * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "*/0 * * * *",
    "5/10 * * * *",
    "50-10 * * * *",
    "*-5 * * * *",
    ", * * * *",
    "@daily",
    "0 0 L * *",
    "0 0 30 2 *",
    "0 0 31 4,6 *",
    "mon * * * *",
  ])("%j does not, or not everywhere", (text) => {
    expect(isCron(text)).toBe(false);
  });

  test("whatever passes, the scheduler takes, and it has a next time", () => {
    const field = (from: number, to: number) => {
      const number = fc.integer({ min: from - 1, max: to + 1 });
      const range = fc.tuple(number, number).map(([first, last]) => `${first}-${last}`);
      const step = fc.integer({ min: 0, max: 70 });
      const stepped = fc.tuple(fc.oneof(fc.constant("*"), range), step).map(([of, by]) => `${of}/${by}`);
      const item = fc.oneof(fc.constant("*"), number.map(String), range, stepped);
      return fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => items.join(","));
    };
    const named = (names: string[]) => fc.constantFrom(...names, ...names.map((name) => name.toUpperCase()));
    const expression = fc
      .tuple(
        fc.option(field(0, 59), { nil: undefined }),
        field(0, 59),
        field(0, 23),
        field(1, 31),
        fc.oneof(field(1, 12), named(["jan", "feb", "jun", "dec"])),
        fc.oneof(field(0, 7), named(["mon", "sun", "mon-fri"])),
      )
      .map((fields) => fields.filter((text) => text !== undefined).join(" "));
    let taken = 0;
    fc.assert(
      fc.property(expression, (text) => {
        fc.pre(isCron(text));
        taken += 1;
        expect(cron.validate(text)).toBe(true);
        const task = cron.createTask(text, () => {});
        void task.start();
        expect(task.getNextRun()).toBeInstanceOf(Date);
        void task.destroy();
      }),
      { numRuns: 300 },
    );
    expect(taken).toBeGreaterThan(0);
  });
});

test("no text makes a parser throw", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      for (const parse of [parseDuration, parseListenAddress, isCron]) parse(text);
    }),
  );
});
