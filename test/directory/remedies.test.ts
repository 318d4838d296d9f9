// The remedy that an error names for a limit of OpenLDAP is tried on the server that made the error: it must help.

import { expect, test } from "vitest";
import { directoryConfigFor, startSlapd } from "../../scripts/servers/slapd.ts";
import type { DirectoryErrorCode } from "../../src/errors.ts";
import { people } from "../support/sync-world.ts";
import { collect, failureOf } from "./listing.ts";

const reader = 'dn.exact="cn=dirmfa,ou=services,dc=example,dc=org"';
const pageSize = 10;

async function withLimits<T>(
  limits: string,
  use: (config: ReturnType<typeof directoryConfigFor>) => Promise<T>,
) {
  const slapd = await startSlapd({ ldif: people(30), limits: [limits] });
  try {
    const config = directoryConfigFor(slapd);
    config.limits.pageSize = pageSize;
    return await use(config);
  } finally {
    await slapd.stop();
  }
}

test.each<[string, DirectoryErrorCode]>([
  ["size.pr=5", "directory-paging-refused"],
  ["size.prtotal=disabled", "directory-paging-refused"],
  ["size.prtotal=25", "directory-size-limit"],
  ["size.soft=5 size.hard=5", "directory-size-limit"],
  ["size.unchecked=5", "directory-admin-limit"],
])("%s", async (limits, code) => {
  const failure = await withLimits(`${reader} ${limits}`, (config) => failureOf(collect(config)));
  expect(failure.code).toBe(code);
  const remedy = /limits (dn\.exact="[^"]+" [^"]+)"/.exec(failure.remedy ?? "")?.[1] ?? "";
  // Behind what made the error, as an admin would add it to the line that is there.
  const { usernames } = await withLimits(`${reader} ${limits} ${remedy.replace(reader, "")}`, collect);
  expect(usernames).toHaveLength(30);
});

test("a smaller page, which the remedy for size.pr names first, helps as well", async () => {
  const { remedy, usernames } = await withLimits(`${reader} size.pr=5`, async (config) => ({
    ...(await failureOf(collect(config))),
    ...(await collect({ ...config, limits: { ...config.limits, pageSize: 5 } })),
  }));
  expect(remedy).toMatch(/^Lower limits\.pageSize to the server's size\.pr or less/);
  expect(usernames).toHaveLength(30);
});
