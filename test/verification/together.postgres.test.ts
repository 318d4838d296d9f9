// Rule 33: codes that arrive together are judged in one statement as if each were alone, and none pays for another. Only PostgreSQL:
// the embedded database has one connection.

import { expect, test } from "vitest";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import { createSubjects } from "./interleaved-flows.ts";
import { caller, eachTestInVerificationWorld, type VerificationWorld } from "./verification-world.ts";

/** Made by statements: enrolling costs hashes, which have turns. */
async function enrolledUsers(count: number) {
  const subjects = await createSubjects(world, "enrolled", count);
  return subjects.map(({ id, username, active: { secret } }) => ({ id, username, secret }));
}

let world: VerificationWorld;
eachTestInVerificationWorld((it) => {
  world = it;
});

const verify = (
  deps: VerificationDeps,
  username: string,
  codeAsTyped: string,
  { actor = caller, signal }: { actor?: typeof caller; signal?: AbortSignal } = {},
) => verifyCode(deps, { name: { username }, code: { method: "totp", codeAsTyped }, actor, signal });

/** How many transactions `work` committed in all. */
async function commitsOf(work: () => Promise<unknown>): Promise<number> {
  const { db } = world.database;
  const read = async () => {
    await db.raw("select pg_stat_clear_snapshot()");
    return Number((await db.raw("select count(distinct xmin::text) as n from audit_events")).rows[0].n);
  };
  const before = await read();
  await work();
  return (await read()) - before;
}

test("codes of many users that come at once are accepted in few transactions, each with its own audit event", async () => {
  const users = await enrolledUsers(20);
  const codes = users.map((user) => world.codeOf(user));
  let outcomes: string[] = [];
  const commits = await commitsOf(async () => {
    const answers = users.map((user, index) => verify(world.deps, user.username, codes[index] ?? ""));
    outcomes = (await Promise.all(answers)).map(({ outcome }) => outcome);
  });
  expect(outcomes).toEqual(users.map(() => "accepted"));
  expect(commits).toBeLessThan(20);
  for (const user of users) {
    const signIns = (await world.events(user.id)).filter(({ details }) => details.purpose === "sign-in");
    expect(signIns).toEqual([
      { action: "verification", outcome: "accepted", details: { method: "totp", purpose: "sign-in" } },
    ]);
  }
});

test("right, wrong, spent, locked out and disabled users in one batch are each answered as if alone", async () => {
  const [right, wrong, spent, locked, disabled, failing] = await enrolledUsers(6);
  if (!right || !wrong || !spent || !locked || !disabled || !failing) throw new Error("six users");
  // Each of them has one failure already.
  await world.verify(spent, world.codeOf(spent));
  for (let failures = 0; failures < 4; failures++) await world.verify(locked, world.wrongCodeOf(locked));
  for (let failures = 0; failures < 3; failures++) await world.verify(failing, world.wrongCodeOf(failing));
  const answers = [
    verify(world.deps, right.username, world.codeOf(right)),
    verify(world.deps, wrong.username, world.wrongCodeOf(wrong)),
    verify(world.deps, spent.username, world.codeOf(spent)),
    verify(world.deps, locked.username, world.codeOf(locked)),
    verify(world.deps, failing.username, world.wrongCodeOf(failing)),
    // Judged active when it was read, disabled when it is spent.
    world.database
      .db("users")
      .where({ id: disabled.id })
      .update({ state: "disabled" })
      .then(() => verify(world.deps, disabled.username, world.codeOf(disabled))),
  ];
  expect((await Promise.all(answers)).map(({ outcome }) => outcome)).toEqual([
    "accepted",
    "code-rejected",
    "code-rejected",
    "locked-out",
    "code-rejected",
    "user-not-active",
  ]);
  const rows = await world.database.db("lockouts").where({ method: "totp" });
  const of = (user: { id: string }) => rows.find(({ user_id }) => user_id === user.id);
  expect(of(wrong)).toMatchObject({ failures: 2, locked_until: null });
  expect(of(right)).toMatchObject({ failures: 0, locked_until: null });
  expect(of(failing)).toMatchObject({ failures: 0, level: 1, locked_until: expect.any(Date) });
});

test("of 200 equal codes over three replicas among codes of others exactly one is accepted, every time", async () => {
  const replicas = [world.deps, await world.replica(), await world.replica()];
  const others = await enrolledUsers(10);
  for (const user of await enrolledUsers(5)) {
    const code = world.codeOf(user);
    const answers = Array.from({ length: 200 }, (_, index) => {
      const deps = replicas[index % 3] ?? world.deps;
      const other = others[index % 10];
      if (other && index % 5 === 4)
        void verify(deps, other.username, world.wrongCodeOf(other)).catch(() => {});
      return verify(deps, user.username, code);
    });
    const outcomes = (await Promise.all(answers)).map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === "accepted")).toHaveLength(1);
    const events = (await world.events(user.id)).filter(({ details }) => details.purpose === "sign-in");
    expect(events.filter(({ outcome }) => outcome === "accepted")).toHaveLength(1);
  }
});

test("a user whose rows another transaction holds delays nobody else", async () => {
  const held = await world.addEnrolledUser();
  const free = await world.addEnrolledUser();
  const { db } = world.database;
  const trx = await db.transaction();
  await trx("lockouts").where({ user_id: held.id }).forUpdate().select("method");
  let isAnswered = false;
  const waiting = Promise.all(
    [0, 1, 2].map(() => verify(world.deps, held.username, world.codeOf(held))),
  ).finally(() => {
    isAnswered = true;
  });
  // Twice, since the first might have been under way before.
  expect(await verify(world.deps, free.username, world.codeOf(free))).toMatchObject({ outcome: "accepted" });
  expect(await verify(world.deps, free.username, world.codeOf(free))).toMatchObject({
    outcome: "code-rejected",
  });
  expect(isAnswered).toBe(false);
  await trx.commit();
  expect((await waiting).map(({ outcome }) => outcome).sort()).toEqual([
    "accepted",
    "code-rejected",
    "code-rejected",
  ]);
});

test("a right code whose caller goes while it waits for another of the same user is not spent", async () => {
  const [user] = await enrolledUsers(1);
  if (!user) throw new Error("one user");
  const trx = await world.database.db.transaction();
  await trx("lockouts").where({ user_id: user.id }).forUpdate().select("method");
  const first = verify(world.deps, user.username, world.wrongCodeOf(user));
  // The first is at the lock by the time that the second one has read where the user stands.
  await waitForLock();
  const caller = new AbortController();
  const gone = verify(world.deps, user.username, world.codeOf(user), { signal: caller.signal });
  await world.deps.together.findStanding(user);
  await new Promise((resolve) => setTimeout(resolve, 100));
  caller.abort();
  await trx.commit();
  expect(await first).toEqual({ outcome: "code-rejected" });
  await expect(gone).rejects.toMatchObject({ code: "aborted" });
  expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });
});

async function countWaitingForLock(): Promise<number> {
  const { rows } = await world.database.db.raw(
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return rows.length;
}

const waitForLock = () => expect.poll(countWaitingForLock).toBeGreaterThan(0);

test("many codes of one user whose rows are held take one connection, so that they keep nobody else out", async () => {
  const [held, free] = await enrolledUsers(2);
  if (!held || !free) throw new Error("two users");
  const trx = await world.database.db.transaction();
  await trx("lockouts").where({ user_id: held.id }).forUpdate().select("method");
  const waiting = Array.from({ length: 40 }, () => verify(world.deps, held.username, world.codeOf(held)));
  await waitForLock();
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(await countWaitingForLock()).toBe(1);
  expect(await verify(world.deps, free.username, world.codeOf(free))).toMatchObject({ outcome: "accepted" });
  await trx.commit();
  const outcomes = (await Promise.all(waiting)).map(({ outcome }) => outcome);
  expect(outcomes.filter((outcome) => outcome === "accepted")).toHaveLength(1);
});

test("a batch in whose way another transaction was is tried again, the same as a code alone", async () => {
  const users = await enrolledUsers(2);
  const { db } = world.database;
  // The database says so for the first two statements: the batch, and what is tried in its place.
  await db.raw("create sequence conflicts");
  await db.raw(`create function conflict() returns trigger language plpgsql as $$ begin
    if nextval('conflicts') <= 2 then raise exception 'in the way' using errcode = '40001'; end if;
    return new; end $$`);
  await db.raw(
    "create trigger conflict before insert on audit_events for each row execute function conflict()",
  );
  try {
    for (const user of users) {
      expect(await verify(world.deps, user.username, world.codeOf(user))).toMatchObject({
        outcome: "accepted",
      });
    }
  } finally {
    await db.raw("drop function conflict() cascade");
    await db.raw("drop sequence conflicts");
  }
});

test("an attempt that the database refuses takes no other with it", async () => {
  const users = await enrolledUsers(3);
  // PostgreSQL takes no text with a null character; the API lets none in.
  const bad = { ...caller, name: "caller:\0" };
  const outcomes = await Promise.allSettled(
    users.map((user, index) =>
      verify(world.deps, user.username, world.codeOf(user), {
        actor: index === 1 ? (bad as typeof caller) : caller,
      }),
    ),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  const again = await world.verify(
    users[1] ?? { username: "" },
    world.codeOf(users[1] ?? { secret: Buffer.alloc(20) }),
  );
  expect(again.outcome).toBe("accepted");
});

test("names that are asked for together are each found as if alone", async () => {
  const one = await world.addUser({ username: "anna" });
  await world.addUser({ username: "twice", directory: "north" });
  const south = await world.addUser({ username: "twice", directory: "south" });
  const names = [
    { username: "anna" },
    { username: "twice" },
    { username: "nobody" },
    { username: "TWICE", directory: "south" },
    { username: "a\0b" },
    { username: " Anna " },
  ];
  const found = await Promise.all(names.map((name) => world.deps.together.findStanding(name)));
  expect(found.map((it) => (it.kind === "user" ? it.standing.user.id : it.kind))).toEqual([
    one.id,
    "ambiguous",
    "unknown",
    south.id,
    "unknown",
    one.id,
  ]);
});
