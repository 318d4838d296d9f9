// Rule 30: the console lets in who has shown the directory's password and a second factor, and ends with either.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { settleRestoredDatabase } from "../../src/after-restore.ts";
import { stepMs } from "../verification/verification-world.ts";
import { type ConsoleWorld, codeOf, openConsoleWorld, passwordOf, type Uid } from "./console-world.ts";

let world: ConsoleWorld;

beforeAll(async () => {
  world = await openConsoleWorld();
});
afterAll(() => world?.close());

async function typePassword(username: string, password: string, headers: Record<string, string> = {}) {
  const visitor = world.visitor(headers);
  await visitor.get("/sign-in");
  return { visitor, answer: await visitor.post("/sign-in", { username, password }) };
}

async function withPassword(uid: Uid) {
  const { visitor } = await typePassword(uid, passwordOf(uid));
  await visitor.get("/sign-in/code");
  return visitor;
}

test("a first visit enrolls, shows the backup codes once, and is signed in", async () => {
  const dave = await world.signIn("dave");
  const page = await dave.get("/settings");
  expect(page.text).toContain("Regenerate Backup Codes");
  expect(page.text).toContain("Registered a device");
  const { rows } = await world.database.db.raw(
    "select actor, via, action from audit_events where user_id = ? order by id",
    [await world.idOf("dave")],
  );
  expect(rows).toEqual([
    { actor: "dave (main)", via: "console", action: "enrollment-begin" },
    { actor: "dave (main)", via: "console", action: "verification" },
    { actor: "dave (main)", via: "console", action: "enrollment-confirm" },
  ]);
});

test("a later one asks for a code, and takes each once", async () => {
  await world.signIn("alice");
  const alice = await withPassword("alice");
  expect((await alice.get("/users")).location).toBe("/sign-in/code");
  const code = codeOf(world, "alice");
  expect((await alice.post("/sign-in/code", { code })).location).toBe("/");
  expect((await alice.get("/users")).status).toBe(200);
  const thief = await withPassword("alice");
  expect((await thief.post("/sign-in/code", { code })).status).toBe(403);
  expect((await thief.get("/users")).status).toBe(303);
  world.clock.step();
});

test.each([
  ["a wrong password", "bob", "wrong"],
  ["no password, which a directory would take as anonymous", "bob", ""],
  ["a null character as the password", "bob", "\0"],
  ["another one's password", "bob", passwordOf("carol")],
  ["an unknown name", "nobody", "whatever"],
  ["no name", "", passwordOf("bob")],
  ["a DN as the name", "uid=bob,ou=people,dc=example,dc=org", passwordOf("bob")],
  ["a filter as the name", "b*", passwordOf("bob")],
  ["the password of the account that reads the directory", "dirmfa", "x"],
])("%s is refused in the same words", async (_, username, password) => {
  const { visitor, answer } = await typePassword(username, password);
  expect(answer.status).toBe(403);
  expect(answer.text).toContain("The user name or the password is not right.");
  expect((await visitor.get("/settings")).location).toBe("/sign-in");
  world.clock.step(40); // the limit of attempts counts on another day
});

test("passwords of one user are tried five times, from wherever, and then not looked at for a while", async () => {
  for (let times = 0; times < 5; times += 1)
    expect((await typePassword("alan", "wrong")).answer.status).toBe(403);
  const { answer } = await typePassword("ALAN ", passwordOf("alan"));
  expect(answer.status).toBe(429);
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(60);
  expect((await typePassword("carol", passwordOf("carol"))).answer.status).toBe(303);
  world.clock.step(40);
  expect((await typePassword("alan", passwordOf("alan"))).answer.status).toBe(303);
});

test("another name of the same user gives no more tries, and a right password takes them back", async () => {
  const names = ["alan", "alan@example.org", "Alan", "ALAN@example.org"];
  for (const name of names) expect((await typePassword(name, "wrong")).answer.status).toBe(403);
  expect((await typePassword("alan@example.org", passwordOf("alan"))).answer.status).toBe(303);
  for (const name of [...names, "alan"]) expect((await typePassword(name, "wrong")).answer.status).toBe(403);
  for (const name of names) expect((await typePassword(name, passwordOf("alan"))).answer.status).toBe(429);
  world.clock.step(40);
});

test("fifty wrong passwords come from one address, of whomever; right ones do not count", async () => {
  for (let times = 0; times < 49; times += 1)
    expect((await typePassword(`nobody${times}`, "wrong")).answer.status).toBe(403);
  for (const uid of ["carol", "bob"] as const)
    expect((await typePassword(uid, passwordOf(uid))).answer.status).toBe(303);
  expect((await typePassword("nobody", "wrong")).answer.status).toBe(403);
  expect((await typePassword("carol", passwordOf("carol"))).answer.status).toBe(429);
  world.clock.step(40);
});

/** What happens while the directory thinks about what was asked. */
async function whileDirectoryWaits<T>(use: () => Promise<T>): Promise<T> {
  process.kill(world.slapd.pid, "SIGSTOP");
  try {
    return await use();
  } finally {
    process.kill(world.slapd.pid, "SIGCONT");
  }
}

test("of seventeen passwords at once sixteen go to the directory", async () => {
  const answers: ReturnType<typeof typePassword>[] = [];
  await whileDirectoryWaits(async () => {
    for (let n = 0; n < 17; n += 1) answers.push(typePassword(`nobody${n}`, "wrong"));
    expect((await Promise.race(answers)).answer.status).toBe(503);
  });
  const statuses = (await Promise.all(answers)).map(({ answer }) => answer.status);
  expect(statuses.filter((status) => status === 403)).toHaveLength(16);
  world.clock.step(40);
});

test("who is disabled while the directory looks at the password is not let in", async () => {
  const { db } = world.database;
  const id = await world.idOf("bob");
  const typed = await whileDirectoryWaits(async () => {
    const typed = typePassword("bob", passwordOf("bob"));
    await Promise.race([typed, sleep(1_000)]); // long enough to be asked for
    await db("users").where({ id }).update({ state: "disabled" });
    return { typed };
  });
  const { visitor, answer } = await typed.typed;
  expect(answer.status).toBe(403);
  expect((await visitor.get("/settings")).location).toBe("/sign-in");
  await db("users").where({ id }).update({ state: "active" });
});

test("a password is in no line of the log, nor a code or the cookie", async () => {
  const carol = await world.signIn("carol");
  await typePassword("carol", "secret-that-was-mistyped");
  const logged = world.logged.join("");
  for (const secret of [passwordOf("carol"), "secret-that-was-mistyped", carol.cookie.split("=")[1] ?? ""])
    expect(logged).not.toContain(secret);
});

describe("a session ends", () => {
  test("with the sign-out, also for whoever kept the cookie", async () => {
    const carol = await world.signIn("carol");
    const { cookie } = carol;
    await carol.get("/settings");
    await carol.post("/sign-out");
    const thief = world.visitor();
    thief.cookie = cookie;
    expect((await thief.get("/settings")).location).toBe("/sign-in");
  });

  test("in another browser than its own", async () => {
    const carol = await world.signIn("carol");
    const thief = world.visitor({ "user-agent": "another" });
    thief.cookie = carol.cookie;
    expect((await thief.get("/settings")).location).toBe("/sign-in");
    expect((await carol.get("/settings")).status).toBe(200);
  });

  test("when the role is lost, at once after the run that sees it", async () => {
    const helen = await world.signIn("helen");
    expect((await helen.get("/users")).status).toBe(200);
    const dn = "cn=help desk,ou=groups,dc=example,dc=org";
    const putIn = (to: string) =>
      world.slapd.modify(
        `dn: ${dn}\nchangetype: modify\nreplace: member\nmember: uid=${to},ou=people,dc=example,dc=org\n\n`,
      );
    await putIn("bob");
    await world.sync();
    const id = await world.idOf("carol");
    expect((await helen.post(`/users/${id}/unlock`)).status).toBe(403);
    expect((await helen.get("/users")).location).toBe("/sign-in");
    await putIn("helen");
    await world.sync();
  });

  test("when the configuration takes the role away", async () => {
    const helen = await world.signIn("helen");
    await world.reload({ roles: { admin: [], helpDesk: [], auditor: [] } });
    expect((await helen.get("/users")).location).toBe("/sign-in");
    await world.reload({});
  });

  test("when an admin disables MFA", async () => {
    const carol = await world.signIn("carol");
    const alice = await world.signIn("alice");
    const id = await world.idOf("carol");
    await alice.get(`/users/${id}`);
    expect((await alice.post(`/users/${id}/disable-mfa`, { sure: "yes" })).location).toBe(
      `/users/${id}?done=disabled`,
    );
    expect((await carol.get("/settings")).location).toBe("/sign-in");
  });

  test("when the user is disabled or removed", async () => {
    const bob = await world.signIn("bob");
    const id = await world.idOf("bob");
    const { db } = world.database;
    for (const state of ["disabled", "removed"]) {
      await db("users")
        .where({ id })
        .update({ state, removed_at: state === "removed" ? new Date() : null });
      expect((await bob.get("/settings")).location).toBe("/sign-in");
      await db("users").where({ id }).update({ state: "active", removed_at: null });
    }
  });

  test("after its idle time, and at the latest after its whole time", async () => {
    const { db } = world.database;
    for (const past of [
      { seen_at: db.raw("clock_timestamp() - interval '901 seconds'") },
      { ends_at: db.raw("clock_timestamp()") },
    ]) {
      const bob = await world.signIn("bob");
      await db("console_sessions")
        .where({ user_id: await world.idOf("bob") })
        .update(past);
      expect((await bob.get("/settings")).location).toBe("/sign-in");
    }
  });
});

describe("half of a sign-in", () => {
  test("ends when a device is registered elsewhere, or is gone", async () => {
    const path = `/users/${await world.idOf("carol")}`;
    const alice = await world.signIn("alice");
    await world.signIn("carol");
    const owesCode = await withPassword("carol");
    expect((await owesCode.get("/sign-in/code")).status).toBe(200);
    await alice.get(path);
    await alice.post(`${path}/disable-mfa`, { sure: "yes" });
    expect((await owesCode.get("/sign-in/code")).location).toBe("/sign-in");
    const mayEnroll = await withPassword("carol");
    expect((await mayEnroll.get("/settings")).status).toBe(200);
    await world.signIn("carol");
    expect((await mayEnroll.get("/settings")).location).toBe("/sign-in");
  });

  test("ends after twenty minutes, however much of it is seen", async () => {
    await world.signIn("carol");
    const carol = await withPassword("carol");
    const { db } = world.database;
    const sessions = db("console_sessions").where({ user_id: await world.idOf("carol"), stage: "challenge" });
    await sessions.clone().update({ ends_at: db.raw("ends_at - interval '19 minutes'") });
    expect((await carol.get("/sign-in/code")).status).toBe(200);
    await sessions.clone().update({ ends_at: db.raw("ends_at - interval '1 minute'") });
    expect((await carol.get("/sign-in/code")).location).toBe("/sign-in");
  });
});

test("of eleven sessions of a user the oldest goes", async () => {
  const oldest = await world.signIn("bob");
  for (let others = 0; others < 9; others += 1) await withPassword("bob");
  expect((await oldest.get("/settings")).status).toBe(200);
  await withPassword("bob");
  expect((await oldest.get("/settings")).location).toBe("/sign-in");
});

test("a session gets another token with each step, and a planted one is worth nothing", async () => {
  await world.signIn("bob");
  const bob = world.visitor();
  const planted = "A".repeat(43);
  bob.cookie = `dirmfa=${planted}`;
  await bob.get("/sign-in");
  await bob.post("/sign-in", { username: "bob", password: passwordOf("bob") });
  expect(bob.cookie).not.toContain(planted);
  const afterPassword = bob.cookie;
  await bob.get("/sign-in/code");
  await bob.post("/sign-in/code", { code: codeOf(world, "bob") });
  world.clock.step();
  expect(bob.cookie).not.toBe(afterPassword);
  const thief = world.visitor();
  for (const cookie of [`dirmfa=${planted}`, afterPassword, `${bob.cookie}; ${bob.cookie}x`]) {
    thief.cookie = cookie;
    expect((await thief.get("/settings")).location).toBe("/sign-in");
  }
});

test("the database holds no token that a browser has", async () => {
  const bob = await world.signIn("bob");
  const token = bob.cookie.split("=")[1] ?? "";
  const rows = await world.database.db("console_sessions").select("token_hash");
  expect(JSON.stringify(rows)).not.toContain(token);
  expect(rows.map((row) => row.token_hash.toString("base64url"))).not.toContain(token);
});

test("a role that was got meanwhile counts from the next sign-in on", async () => {
  const bob = await world.signIn("bob");
  await world.reload({
    roles: { admin: ["auditors", "help desk", "mfa admins"], helpDesk: [], auditor: [] },
  });
  expect((await bob.get("/users")).status).toBe(403);
  await world.reload({});
});

test("a link from elsewhere finds the person signed in, and signs nobody out", async () => {
  const carol = await world.signIn("carol");
  const stranger = world.visitor();
  const led = await stranger.get("/settings", { "sec-fetch-site": "cross-site" });
  // The browser asks again from here, and sends the cookie then.
  expect([led.status, led.text, led.headers.get("refresh"), led.headers.get("set-cookie")]).toEqual([
    200,
    "",
    "0",
    null,
  ]);
  expect((await carol.get("/settings", { "sec-fetch-site": "cross-site" })).text).toContain("Settings");
});

test("somebody else in the place of a DN does not sign in as the user who had it", async () => {
  const dn = "uid=erin,ou=people,dc=example,dc=org";
  await world.slapd.modify(
    `dn: ${dn}\nchangetype: delete\n\ndn: ${dn}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: erin\ncn: Another\nsn: Erin\nuserPassword: mine\n\n`,
  );
  expect((await typePassword("erin", "mine")).answer.status).toBe(403);
});

test("after `database restored` every session is over", async () => {
  const bob = await world.signIn("bob");
  const actor = { name: "test", via: "cli" } as const;
  const { db } = world.database;
  await settleRestoredDatabase({ db, clock: world.clock, windowSteps: 1 }, { endBackupCodes: false, actor });
  expect((await bob.get("/settings")).location).toBe("/sign-in");
  // Codes are spent up to the database's time, and the next run takes the directory for another one.
  world.clock.set(new Date(Date.now() + 3 * stepMs));
  await world.sync();
});

test("with the directory away nobody new gets in, and the word is that it is not available", async () => {
  await world.slapd.kill();
  const { answer } = await typePassword("carol", passwordOf("carol"));
  expect(answer.status).toBe(503);
  expect(answer.text).toContain("It is not your fault");
  await world.slapd.restart();
});
