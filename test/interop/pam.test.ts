// A real sshd and a real sudo that ask for password and code by pam_radius, through FreeRADIUS, with the examples' own files.

import { afterAll, beforeAll, expect, test } from "vitest";
import { type Freeradius, startFreeradius } from "../../scripts/servers/freeradius.ts";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { tokens } from "../support/http-server.ts";
import { type PamMachine, startPamMachine } from "../support/pam-machine.ts";
import type { EnrolledUser } from "../verification/verification-world.ts";

const password = "correct horse 77";
const ways = ["ssh", "sudo"] as const;
let world: ApiWorld;
let slapd: Slapd;
let radius: Freeradius;
let machine: PamMachine;
let enrolled: EnrolledUser[];
beforeAll(async () => {
  world = await openApiWorld();
  slapd = await startSlapd();
  const names = ["amal", "bea", "chi", "dora", "emil", "free"];
  for (const name of names) {
    await slapd.add(
      ldifEntry(`uid=${name},ou=people,${slapd.suffix}`, [
        ["objectClass", "inetOrgPerson"],
        ["uid", name],
        ["cn", name],
        ["sn", name],
        ["userPassword", password],
      ]),
    );
  }
  enrolled = [];
  for (const name of names.slice(0, 5)) enrolled.push(await world.addEnrolledUser(name));
  await world.addUser({ username: "free" });
  radius = await startFreeradius({ site: "dirmfa-challenge", apiUrl: world.url, token: tokens.login, slapd });
  machine = await startPamMachine(radius.port, [...names, "stranger"]);
});
afterAll(async () => {
  await machine?.stop();
  await radius?.stop();
  await slapd?.stop();
  await world?.close();
});

function user(index: number): EnrolledUser {
  const found = enrolled[index];
  if (!found) throw new Error("no such user");
  return found;
}

test.each(ways)("%s lets in with password and code, once", async (way) => {
  const one = user(0);
  const code = world.codeOf(one);
  expect(await machine[way](one.username, [password, code])).toBe(true);
  expect(await machine[way](one.username, [password, code])).toBe(false);
  world.clock.step();
});

test.each(ways)(
  "%s refuses a wrong password, a wrong code, no code, and a password in its place",
  async (way) => {
    const one = user(1);
    expect(await machine[way](one.username, ["wrong", world.codeOf(one)])).toBe(false);
    expect(await machine[way](one.username, [password, world.wrongCodeOf(one)])).toBe(false);
    expect(await machine[way](one.username, [password])).toBe(false);
    expect(await machine[way](one.username, [password, password])).toBe(false);
    const [row] = await world.database
      .db("lockouts")
      .where({ user_id: one.id, method: "totp" })
      .select("failures");
    expect(row?.failures).toBeLessThan(3); // the wrong codes alone
  },
);

test.each(ways)(
  "%s lets in with the password alone where nothing more is asked, and nobody whom dirmfa does not know",
  async (way) => {
    expect(await machine[way]("free", [password])).toBe(true);
    expect(await machine[way]("free", ["wrong"])).toBe(false);
    expect(await machine[way]("stranger", [password, "123456"])).toBe(false);
  },
);

test("a locked user is refused, with the right code too", async () => {
  const one = user(2);
  for (let failure = 0; failure < 5; failure += 1) await world.verify(one, world.wrongCodeOf(one));
  expect(await machine.ssh(one.username, [password, world.codeOf(one)])).toBe(false);
});

test("with FreeRADIUS away nobody gets in", async () => {
  await radius.stop();
  expect(await machine.sudo(user(3).username, [password, world.codeOf(user(3))])).toBe(false);
  expect(await machine.sudo("free", [password])).toBe(false);
});
