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
  const names = ["amal", "bea", "chi", "dora", "emil", "free", "new"];
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
  for (const username of names.slice(5)) await world.addUser({ username });
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

test.each(ways)("of two %s at once with one code, one lets in", async (way) => {
  world.clock.step();
  const one = user(4);
  const answers = [password, world.codeOf(one)];
  const letIn = await Promise.all([machine[way](one.username, answers), machine[way](one.username, answers)]);
  expect(letIn.sort()).toEqual([false, true]);
});

test.each(ways)("%s refuses a locked user, with the right code too", async (way) => {
  const one = user(2);
  for (let failure = 0; failure < 5; failure += 1) await world.verify(one, world.wrongCodeOf(one));
  expect(await machine[way](one.username, [password, world.codeOf(one)])).toBe(false);
});

test.each(ways)("%s refuses who must enroll, and lets them in within the grace period", async (way) => {
  const asNew = world.database.db("users").where({ username: "new" });
  await asNew.clone().update({ required_since: null, enrollment_deadline: null });
  await world.replica({ mode: "required" }); // puts the policy in force
  expect(await machine[way]("new", [password, "123456"])).toBe(false);
  await asNew
    .clone()
    .update({ required_since: new Date(), enrollment_deadline: new Date("2100-01-01T00:00:00Z") });
  expect(await machine[way]("new", [password])).toBe(true);
  expect(await machine[way]("new", ["wrong"])).toBe(false);
  await world.replica();
});

test("with FreeRADIUS away nobody gets in", async () => {
  await radius.stop();
  expect(await machine.sudo(user(3).username, [password, world.codeOf(user(3))])).toBe(false);
  expect(await machine.sudo("free", [password])).toBe(false);
});
