// When one copy of a directory is older than another (rule 4).

import { expect, test } from "vitest";
import { changesLost, isOlderCopy, isOlderState } from "../../src/directory/server-state.ts";

const csn = (second: string, serverId: string) => `202601311200${second}.000001Z#000000#${serverId}#000000`;

test.each([
  ["a lower USN", "9007199254740993", "9007199254740992", true],
  ["the same USN", "12", "12", false],
  ["a higher USN with more digits", "9", "10", false],
  ["an earlier change of the only provider", csn("30", "001"), csn("29", "001"), true],
  ["the same change", csn("30", "001"), csn("30", "001"), false],
  [
    "one provider ahead, another behind",
    `${csn("30", "001")} ${csn("30", "002")}`,
    `${csn("31", "001")} ${csn("29", "002")}`,
    true,
  ],
  [
    "a provider that is not known any more",
    `${csn("30", "001")} ${csn("30", "002")}`,
    csn("31", "001"),
    true,
  ],
  ["a new provider", csn("30", "001"), `${csn("30", "001")} ${csn("01", "002")}`, false],
  ["a server that does not tell", csn("30", "001"), null, false],
  ["a server that did not tell before", null, csn("30", "001"), false],
  ["something else", "abc", "abb", false],
])("%s is told apart", (_, previous, current, older) => {
  expect(isOlderState(previous, current)).toBe(older);
});

const copy = (url: string, suffix: string, state: string) => ({
  identity: `openldap:${url}|${suffix}`,
  state,
});
const [older, newer] = [csn("29", "001"), csn("30", "001")];

test.each([
  ["the same server, set back", copy("a", "x", newer), copy("a", "x", older), true],
  ["a replica that lags", copy("a", "x", newer), copy("b", "x", older), true],
  ["a replica that has caught up", copy("a", "x", newer), copy("b", "x", newer), false],
  ["another directory", copy("a", "x", newer), copy("b", "y", older), false],
  ["another server's USN", { identity: "ad:a|1", state: "20" }, { identity: "ad:b|1", state: "10" }, false],
  ["the same server's USN", { identity: "ad:a|1", state: "20" }, { identity: "ad:a|1", state: "10" }, true],
])("%s is told apart", (_, previous, current, isOlder) => {
  expect(isOlderCopy(previous, current)).toBe(isOlder);
});

test("what an older copy does not have is told server by server", () => {
  const before = `${csn("30", "001")} ${csn("30", "002")}`;
  expect(changesLost(before, csn("29", "001"))).toEqual([
    "Of server 001 it had 20260131120030.000001Z#000000, and has 20260131120029.000001Z#000000.",
    "It has no change of server 002 any more, and had one of 20260131120030.000001Z#000000.",
  ]);
  expect(changesLost("20", "10")).toEqual(["It was at change 20, and is at 10."]);
  expect(changesLost(before, before)).toEqual([]);
});
