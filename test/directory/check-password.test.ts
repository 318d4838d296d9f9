// A password is asked of the entry that a listing would read as that user: same kind, same servers in the same order.

import { afterAll, beforeAll, expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { directoryConfigFor, type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import { checkPassword, type PasswordQuestion } from "../../src/directory/check-password.ts";
import { result, scriptFor, startFakeLdapServer } from "../support/fake-ldap-server.ts";
import { collect } from "./listing.ts";

let slapd: Slapd;
let directoryId: string;
beforeAll(async () => {
  slapd = await startSlapd({
    ldif: ldifEntry("uid=anna,ou=people,dc=example,dc=org", [
      ["objectClass", "inetOrgPerson"],
      ["uid", "anna"],
      ["cn", "Anna"],
      ["sn", "Anna"],
      ["userPassword", "right"],
    ]),
  });
  [directoryId = ""] = (await collect(directoryConfigFor(slapd))).directoryIds;
});
afterAll(() => slapd?.stop());

const question = (more: Partial<PasswordQuestion> = {}): PasswordQuestion => ({
  directoryId,
  rememberedKind: undefined,
  passwordSecret: "right",
  signal: new AbortController().signal,
  ...more,
});

test("the right password is one, a wrong one, an empty one and that of nobody are none", async () => {
  const directory = directoryConfigFor(slapd);
  expect(await checkPassword(directory, question())).toBe(true);
  for (const more of [{ passwordSecret: "wrong" }, { passwordSecret: "" }, { directoryId: undefined }]) {
    expect(await checkPassword(directory, question(more))).toBe(false);
  }
});

test("what a server shows itself to be counts before what is remembered, as in a listing", async () => {
  const directory = directoryConfigFor(slapd, { kind: undefined });
  expect(await checkPassword(directory, question({ rememberedKind: "active-directory" }))).toBe(true);
});

test("a server that is busy while the user is looked for is left for the next one", async () => {
  const busy = await startFakeLdapServer(scriptFor(({ id }) => result(id, 51)));
  try {
    const directory = directoryConfigFor(slapd, { urls: [busy.url, slapd.url] });
    expect(await checkPassword(directory, question())).toBe(true);
    expect(busy.connections).toBeGreaterThan(0);
  } finally {
    await busy.stop();
  }
});
