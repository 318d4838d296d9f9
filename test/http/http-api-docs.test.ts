// docs/http-api.md is true: each of its commands is run, in order, against a real server, and answers with the status and
// the shape that the page shows. The tables of problems and of limits are complete.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defaultHttpLimits } from "../../src/http/listeners.ts";
import { problemKinds } from "../../src/http/problems.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { tokens } from "../support/http-server.ts";
import { secretOf, totpOf } from "../verification/verification-world.ts";

const run = promisify(execFile);

let page: string;
let world: ApiWorld;
let folder: string;
const shell: Record<string, string> = {};

beforeAll(async () => {
  page = await readFile(new URL("../../docs/http-api.md", import.meta.url), "utf8");
  world = await openApiWorld();
  const { url } = await world.startServer(await world.replica({ backupCodes: { count: 10 } }));
  shell.DIRMFA = url;
  folder = await mkdtemp(join(tmpdir(), "dirmfa-docs-"));
  for (const scope of ["login", "admin"] as const) {
    const lines = `Authorization: Bearer ${tokens[scope]}\nContent-Type: application/json\n`;
    await writeFile(join(folder, `${scope}.headers`), lines);
  }
  await setTheScene();
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

/** The people of the page, as they are when it begins. */
async function setTheScene(): Promise<void> {
  const { db } = world.database;
  const ada = await world.addUser({ username: "ada" });
  const grace = await world.addUser({ username: "grace" });
  const lin = await world.addEnrolledUser("lin");
  const edsger = await world.addEnrolledUser("edsger");
  await db("users").where({ id: ada.id }).update({ display_name: "Ada Lovelace", email: "ada@example.org" });
  await db("users").whereIn("id", [grace.id, edsger.id]).update({
    required_by_admin: true,
    required_since: new Date(),
    enrollment_deadline: "2099-01-31T09:00:00Z",
  });
  await db("directories").insert({ name: "main", last_complete_at: "2026-01-15T04:00:12Z" });
  const [held] = await db("sync_runs")
    .insert({
      directory: "main",
      kind: "full",
      trigger: "schedule",
      requested_by: "schedule",
      dry_run: false,
      status: "held",
      fencing_token: 1,
      finished_at: db.fn.now(),
      hold_reasons: JSON.stringify([
        {
          code: "too-many-removals",
          text: "The plan removes 61 of 200 active users; up to 10, or 5 %, are removed without approval.",
        },
      ]),
    })
    .returning("id");
  const wrong = world.wrongCodeOf(lin);
  for (let i = 0; i < world.deps.mfa.lockout.failures; i++) {
    await world.login("/v1/verify", { username: "lin", totp: wrong });
  }
  Object.assign(shell, {
    ADA: ada.id,
    LIN: lin.id,
    EDSGER: edsger.id,
    HELD: held.id,
    WRONG_CODE: wrong,
    CODE: "000000",
  });
}

interface Shown {
  command: string;
  status: string;
  json: string | undefined;
}

function commandsOf(text: string): Shown[] {
  const blocks = text.matchAll(/```sh\n(curl [^`]+)```\n\n`(\d{3})`[^\n]*\n(?:\n```json\n([^`]*)```)?/g);
  return Array.from(blocks, ([, command = "", status = "", json]) => ({ command, status, json }));
}

/** What a reader would type: the answer's body and its status. */
async function runCommand(command: string): Promise<{ status: string; body: string }> {
  const line = command.trim().replace(/^curl /, "curl -w '\\n%{http_code}' ");
  const env = { ...shell, PATH: process.env.PATH };
  // Without --norc bash takes node's pipe for a remote login, and reads the start-up file of whoever runs the test.
  const { stdout } = await run("bash", ["--norc", "-c", line], { cwd: folder, env });
  const cut = stdout.lastIndexOf("\n");
  return { status: stdout.slice(cut + 1), body: stdout.slice(0, cut) };
}

/** Keeps what the later commands of the page need, as a reader would. */
async function remember(answer: Record<string, unknown>): Promise<void> {
  if (typeof answer.secret === "string") {
    const secret = secretOf(answer.secret);
    shell.CODE = world.codeOf({ secret });
    shell.SECRET = answer.secret;
  }
  if (Array.isArray(answer.backupCodes)) shell.BACKUP_CODE = String(answer.backupCodes[0]);
  if (answer.trigger === "request") {
    shell.RUN = String(answer.id);
    await endOfRun(shell.RUN);
  }
}

/** The next time step, and the code that the app shows in it. */
function nextCodes(command: string): void {
  world.clock.step();
  if (shell.SECRET !== undefined) {
    const code = totpOf(secretOf(shell.SECRET), world.clock.now());
    if (command.includes("$NEXT_CODE")) shell.NEXT_CODE ??= code;
    else shell.CODE = code;
  }
}

async function endOfRun(id: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { json } = await world.admin(`/v1/admin/sync-runs/${id}`);
    if (!JSON.stringify(json).includes('"status":"running"')) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the run does not end");
}

// Words that must be as shown; other texts are ids, times, names and secrets, which differ from run to run.
const words = new Set([
  "decision",
  "reasons",
  "methods",
  "code",
  "method",
  "status",
  "type",
  "title",
  "state",
  "action",
]);

/** The shape of an answer: all of its fields, and the values of those that are words, numbers or flags. */
function shapeOf(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) return value.map((item) => shapeOf(item, name));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, shapeOf(inner, field)]));
  }
  return typeof value === "string" && !words.has(name) ? "text" : value;
}

test("every command of the page answers as the page shows", { timeout: 120_000 }, async () => {
  const commands = commandsOf(page);
  expect(commands).toHaveLength((page.match(/^curl /gm) ?? []).length);
  expect(commands.length).toBeGreaterThan(25);
  for (const { command, status, json } of commands) {
    if (command.includes("CODE") && !command.includes("/confirm")) nextCodes(command);
    const answer = await runCommand(command);
    const shown = `${command}${answer.status} ${answer.body.slice(0, 400)}`;
    expect(answer.status, shown).toBe(status);
    if (json === undefined) continue;
    const body: Record<string, unknown> = JSON.parse(answer.body);
    expect(shapeOf(body), shown).toEqual(shapeOf(JSON.parse(json)));
    await remember(body);
  }
});

test("the table of problems has every code with its status, and no other", () => {
  const rows = Array.from(page.matchAll(/^\| (\d{3}) \| `([a-z-]+)` \|/gm), ([, status, code]) => [
    code,
    Number(status),
  ]);
  const kinds = Object.entries(problemKinds).map(([code, { status }]) => [code, status]);
  expect(rows.toSorted()).toEqual(kinds.toSorted());
});

test("the table of limits has the limits", () => {
  const {
    bodyBytes,
    headerBytes,
    headerCount,
    headersMs,
    requestMs,
    answerMs,
    keepAliveMs,
    drainMs,
    requestsAtOnce,
  } = defaultHttpLimits;
  for (const row of [
    `| body | ${bodyBytes / 1024} KiB |`,
    `| headers | ${headerBytes / 1024} KiB, ${headerCount} of them |`,
    `| ${headersMs / 1000} s, ${requestMs / 1000} s |`,
    `| ${Math.ceil(answerMs / 1000)} s, then 503 |`,
    `| requests at once | ${requestsAtOnce.toLocaleString("en-US")} a replica`,
    `| closed after ${keepAliveMs / 1000} s |`,
    `running requests have ${drainMs / 1000} s`,
  ]) {
    expect(page).toContain(row);
  }
});
