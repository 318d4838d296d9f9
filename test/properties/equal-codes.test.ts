// Rule 15 many times over: 200 equal codes at once to three daemons on one PostgreSQL, which batch and remember, among codes of others.
// Each user has one race; 1,000 races, or fewer where RACES or RANDOM_MINUTES (five) say so. Now and then a daemon is killed in the middle.

import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { callerOf, tokens } from "../support/http-server.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import { createSubjects, type Subject } from "../verification/interleaved-flows.ts";
import { openVerificationWorld, type VerificationWorld } from "../verification/verification-world.ts";

const rounds = Number(process.env.RACES ?? 1000);
const atOnce = 200;
const roundsUntilKill = 50;
const minutes = Number(process.env.RANDOM_MINUTES ?? 5);
const timeout = (minutes + 3) * 60_000;

type Daemon = Awaited<ReturnType<Installation["serve"]>>;

const running = new AsyncDisposableStack();
let world: VerificationWorld;
let installation: Installation;
let daemons: Daemon[];
beforeAll(async () => {
  world = running.adopt(await openVerificationWorld(), (it) => it.close());
  installation = running.adopt(
    await createInstallation({
      slapd: undefined,
      database: world.database.config,
      config: {
        keys: { folder: world.folder },
        http: { listen: "127.0.0.1:0", callers: [callerOf("login-service", tokens.login, ["login"])] },
        // Nobody listens there: no run is asked for.
        directories: [
          {
            name: "main",
            urls: ["ldap://127.0.0.1:1"],
            bind: "anonymous",
            users: { bases: ["dc=none"] },
            schedule: "on-demand",
          },
        ],
        log: { level: "info" },
      },
    }),
    (it) => it.remove(),
  );
  daemons = await Promise.all([installation.serve(), installation.serve(), installation.serve()]);
});
afterAll(() => running.disposeAsync());

/** The status of the answer, and "gone" where the daemon was killed before it. */
async function ask({ address }: Daemon, path: string, body: object): Promise<string> {
  try {
    const response = await fetch(`${address}/v1/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${tokens.login}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const { code = "" } = (await response.json()) as { code?: string };
    return `${response.status} ${code}`.trim();
  } catch {
    return "gone";
  }
}

/** What the daemons answer to as many equal codes, each of them to every third. */
async function race({ username, active }: Subject, bystander: Subject): Promise<string[]> {
  world.clock.set(new Date());
  const totp = world.codeOf({ secret: active.secret });
  return Promise.all(
    Array.from({ length: atOnce }, (_, index) => {
      const daemon = daemons[index % daemons.length] as Daemon;
      if (index % 40 === 0) void ask(daemon, "verify", { username: bystander.username, totp: "000000" });
      return ask(daemon, "verify", { username, totp });
    }),
  );
}

test("of 200 equal codes to three daemons one is accepted, again and again", { timeout }, async () => {
  const bystanders = await createSubjects(world, "enrolled", 10);
  const seen = { races: 0, killed: 0, unanswered: 0 };
  const endsAt = Date.now() + minutes * 60_000;
  for (const [round, user] of (await createSubjects(world, "enrolled", rounds)).entries()) {
    if (Date.now() > endsAt) break;
    // None of the daemons, one, two or all of them know the user from a decision.
    for (const daemon of daemons.slice(0, round % 4))
      expect(await ask(daemon, "sign-in", { username: user.username })).toBe("200");
    const racing = race(user, bystanders[round % bystanders.length] as Subject);
    const dying = (round + 1) % roundsUntilKill === 0 ? daemons.shift() : undefined;
    if (dying) {
      const after = Math.random() * 60;
      await new Promise((resolve) => setTimeout(resolve, after));
      dying.process.kill("SIGKILL");
      await once(dying.process, "exit");
      seen.killed += 1;
    }
    const answers = await racing;
    const counts: Record<string, number> = {};
    for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
    const { "200": accepted = 0, "403 code-rejected": rejected = 0, gone = 0 } = counts;
    expect(accepted + rejected + gone, `round ${round}: ${JSON.stringify(counts)}`).toBe(atOnce);
    seen.unanswered += gone;
    const audited = (await world.events(user.id)).filter(({ outcome }) => outcome === "accepted");
    expect(audited.length, `round ${round}: ${JSON.stringify(counts)}`).toBe(1);
    // A daemon that was killed may have accepted the code and not said so.
    if (gone === 0) expect(accepted, `round ${round}`).toBe(1);
    else expect(accepted, `round ${round}`).toBeLessThanOrEqual(1);
    if (dying) daemons.push(await installation.serve());
    seen.races += 1;
  }
  console.log(JSON.stringify(seen));
  expect(seen.races).toBeGreaterThanOrEqual(Math.min(rounds, roundsUntilKill));
});
