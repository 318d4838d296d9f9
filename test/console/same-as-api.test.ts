// What every page of the console shows, and every act in it, is in the API too: page by page, label by label, with the value
// that stands beside it; and no route of the console is missing here.

import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { HttpServer } from "../../src/http/listeners.ts";
import { createMetrics } from "../../src/http/metrics.ts";
import { createHttpServer } from "../../src/http/server.ts";
import { createOnDemand, type OnDemand } from "../../src/sync/on-demand.ts";
import { call, tokens } from "../support/http-server.ts";
import { plainConfig, plainOverview } from "../support/plain-config.ts";
import { type ConsoleWorld, openConsoleWorld, type Visitor } from "./console-world.ts";

let world: ConsoleWorld;
let alice: Visitor;
let api: HttpServer;
let apiUrl: string;
let onDemand: OnDemand;
const ids: Record<"user" | "run" | "notice", string> = { user: "", run: "", notice: "" };

beforeAll(async () => {
  world = await openConsoleWorld();
  alice = await world.signIn("alice");
  await world.signIn("bob");
  const { db, log } = world.deps;
  onDemand = createOnDemand({ db, log, clock: systemClock, holder: "test", requestId: "test" }, []);
  api = await createHttpServer({
    config: plainConfig({ mfa: world.deps.mfa, directories: [world.directory] }),
    verification: world.deps,
    runner: world.runner,
    onDemand,
    metrics: createMetrics(async () => []),
    overview: plainOverview,
  });
  apiUrl = (await api.listen()).main;
  ids.user = await world.idOf("bob");
  const [run] = await db("sync_runs").select("id");
  ids.run = run.id;
  const dead = { kind: "run-held", channel: "webhook", directory: "main", state: "dead" };
  const [notice] = await db("notices")
    .insert({ ...dead, ended_at: new Date(), last_error: "webhook: status 500" })
    .returning("id");
  ids.notice = notice.id;
});
afterAll(async () => {
  await api?.close();
  await onDemand?.stop();
  await world?.close();
});

/** Where the value is: the number of the call, then names; `*` is the first of a list. With what stands on the page for it. */
type Field = string | readonly [string, (value: unknown) => string | undefined];
interface PageInApi {
  calls: readonly (string | { path: string; body: unknown })[];
  shows: Readonly<Record<string, Field>>;
}

const text = (texts: Record<string, string>) => (value: unknown) => texts[String(value)];
/** In words on the page. */
const inWords = () => undefined;
const onOff = text({ true: "On", false: "Off" });
const person = (value: unknown) => (value === null ? "Admins" : String(value));

const pages: Readonly<Record<string, PageInApi>> = {
  "/users": {
    calls: ["/v1/admin/users?limit=1"],
    shows: {
      "User name": "0.users.*.username",
      Name: "0.users.*.displayName",
      Directory: "0.users.*.directory",
      State: ["0.users.*.state", text({ active: "Active" })],
      MFA: ["0.users.*.enrolled", onOff],
      "MFA required": ["0.users.*.required", text({ true: "Required", false: "Optional" })],
    },
  },
  "/users/:id": {
    calls: ["/v1/admin/users/:user", "/v1/admin/users/:user/events?order=newest&limit=1"],
    shows: {
      "User name": "0.username",
      "E-mail": "0.email",
      State: ["0.state", text({ active: "Active" })],
      Directory: "0.directory",
      DN: "0.dn",
      Groups: ["0.groups", inWords],
      "Known since": "0.createdAt",
      MFA: ["0.authenticator.enrolled", onOff],
      Since: "0.authenticator.enrolledAt",
      "Backup codes left": "0.authenticator.backupCodesRemaining",
      "MFA required": ["0.policy.requiredBy", inWords],
      When: "1.events.*.at",
      What: ["1.events.*.action", text({ "enrollment-confirm": "Registered a device" })],
      By: "1.events.*.actor",
      Through: "1.events.*.via",
    },
  },
  "/enrollment": {
    calls: ["/v1/admin/enrollment", "/v1/admin/users?state=active&required=true&enrolled=false&limit=1"],
    shows: {
      enrolled: "0.enrolled",
      active: "0.active",
      "required, and not enrolled": "0.missing",
      "of them must at the next sign-in": "0.overdue",
      "of active users are enrolled": ["0.enrolledByDay.*.enrolled", inWords],
      "User name": "1.users.*.username",
      Name: "1.users.*.displayName",
      "E-mail": "1.users.*.email",
      Directory: "1.users.*.directory",
      "Must enroll by": ["1.users.*.enrollmentDeadline", inWords],
    },
  },
  "/directories": {
    calls: ["/v1/admin/directories"],
    shows: {
      Directory: "0.directories.*.name",
      Copy: ["0.directories.*.ageSeconds", inWords],
      "Last run": ["0.directories.*.lastRun.status", inWords],
      "Next run": ["0.directories.*.nextRunAt", inWords],
      "Unusable entries": "0.directories.*.skipped",
    },
  },
  "/directories/:name": {
    calls: ["/v1/admin/directories", "/v1/admin/sync-runs?directory=main"],
    shows: {
      Copy: ["0.directories.*.ageSeconds", inWords],
      "Next run": ["0.directories.*.nextRunAt", inWords],
      "Entries that cannot be used": "0.directories.*.skipped",
      Started: "1.runs.*.startedAt",
      Status: "1.runs.*.status",
      Changes: ["1.runs.*.counts", inWords],
      "Asked for by": "1.runs.*.requestedBy",
    },
  },
  "/runs/:id": {
    calls: ["/v1/admin/sync-runs/:run", "/v1/admin/sync-runs/:run/changes?limit=1"],
    shows: {
      Directory: "0.directory",
      Status: "0.status",
      Changes: ["0.counts", inWords],
      "Entries listed": "0.counts.listed",
      Started: "0.startedAt",
      Ended: "0.finishedAt",
      "Asked for by": "0.requestedBy",
      Server: "0.serverUrl",
      "User name": "1.changes.*.username",
      What: "1.changes.*.action",
      Why: ["1.changes.*.reasons", (value) => String(value).replaceAll(",", ", ")],
      "Before and after": ["1.changes.*.after", inWords],
    },
  },
  "/audit": {
    calls: ["/v1/admin/audit-events?order=newest&limit=1", "/v1/admin/audit-chain"],
    shows: {
      When: "0.events.*.at",
      What: ["0.events.*.action", inWords],
      About: ["0.events.*.userId", inWords],
      By: "0.events.*.actor",
      Through: ["0.events.*.via", inWords],
      Details: ["0.events.*.details", inWords],
      "The chain is being sealed.": ["1.broken", inWords],
    },
  },
  "/notices": {
    calls: ["/v1/admin/notices?state=dead&limit=1"],
    shows: {
      Since: "0.notices.*.createdAt",
      What: ["0.notices.*.kind", inWords],
      To: ["0.notices.*.user", person],
      Through: ["0.notices.*.channel", text({ webhook: "Webhook" })],
      State: ["0.notices.*.state", text({ dead: "Given up" })],
      Tries: "0.notices.*.attempts",
      "Why not": "0.notices.*.lastError",
    },
  },
  "/configuration": {
    calls: ["/v1/admin/configuration"],
    shows: {
      Mode: "0.mfa.mode",
      "Required for directories": ["0.mfa.requireForDirectories", inWords],
      "Required for groups": ["0.mfa.requireForGroups", inWords],
      "Required for new users": ["0.mfa.requireForNewUsers", inWords],
      "Grace to enroll": ["0.mfa.enrollmentGrace", inWords],
      "Enrollment pass": ["0.mfa.enrollmentPass", inWords],
      "Replace with a backup code": ["0.mfa.replaceWithBackupCode", text({ true: "yes", false: "no" })],
      "Name in the app": "0.mfa.issuer",
      "Time steps either side": "0.mfa.totpWindowSteps",
      "Backup codes": "0.mfa.backupCodes",
      Lockout: ["0.mfa.lockoutFailures", inWords],
      Admins: ["0.console", inWords],
      "Help desk": ["0.console", inWords],
      Auditors: ["0.console", inWords],
      Session: ["0.console", inWords],
      TLS: ["0.console", inWords],
      Servers: ["0.directories.*.urls", String],
      Kind: ["0.directories.*.kind", inWords],
      "Bound as": "0.directories.*.bindDn",
      Users: ["0.directories.*.userBases", String],
      Groups: ["0.directories.*.groupBases", String],
      Schedule: ["0.directories.*.schedule", inWords],
      "Schedule of incremental runs": ["0.directories.*.incrementalSchedule", inWords],
      "Held beyond": ["0.directories.*.limits", inWords],
      Database: "0.database",
      "Removed users": ["0.retention.removedUsers", inWords],
      "Sync runs": ["0.retention.syncRuns", inWords],
      "Audit events": ["0.retention.auditEvents", inWords],
      Log: "0.logLevel",
      ...Object.fromEntries(
        plainConfig({ mfa: {} as never }).http.callers.map(({ name }) => [
          name,
          ["0.callers", inWords] as const,
        ]),
      ),
    },
  },
  "/settings": {
    calls: [
      { path: "/v1/status", body: { username: "alice" } },
      "/v1/admin/audit-events?order=newest&limit=1",
    ],
    shows: {
      "Multi-factor authentication": ["0.enrolled", inWords],
      Since: "0.enrolledAt",
      "Backup codes left": "0.backupCodesRemaining",
      "Required of you": ["0.requiredBy", inWords],
      By: ["1.events.*.actor", inWords],
      When: ["1.events.*.at", inWords],
      What: ["1.events.*.action", inWords],
      Through: ["1.events.*.via", inWords],
    },
  },
};

/** Files and acts, each with the call that is the same. */
const others: Readonly<Record<string, string>> = {
  "GET /audit/events.csv": "get /v1/admin/audit-events",
  "GET /audit/events.jsonl": "get /v1/admin/audit-events",
  "GET /enrollment/missing.csv": "get /v1/admin/users",
  "POST /directories/:name/dry-run": "post /v1/admin/sync-runs",
  "POST /directories/:name/run": "post /v1/admin/sync-runs",
  "POST /runs/:id/approve": "post /v1/admin/sync-runs/{id}/approve",
  "POST /users/:id/disable-mfa": "post /v1/admin/users/{id}/disable-mfa",
  "POST /users/:id/enrollment-pass": "post /v1/admin/users/{id}/enrollment-pass",
  "POST /users/:id/mfa-required": "put /v1/admin/users/{id}/mfa-required",
  "POST /users/:id/unlock": "post /v1/admin/users/{id}/unlock",
  "POST /notices/:id/retry": "post /v1/admin/notices/{id}/retry",
  "POST /notices/retry": "post /v1/admin/notices/retry",
  "POST /settings/enrollment": "post /v1/enrollment",
  "POST /settings/enrollment/confirm": "post /v1/enrollment/confirm",
  "POST /settings/disable": "post /v1/enrollment/disable",
  "POST /settings/backup-codes": "post /v1/backup-codes/regenerate",
  "POST /settings/backup-codes/file": "post /v1/backup-codes/regenerate",
};

/** The console's own sessions: a caller of the API has a token in their place, and checks the password itself. */
const ofSessions = [/^(GET|POST) \/sign-(in|out)/, /^GET \/$/];

test("every route of the console is known here", () => {
  const missing = world.console.routes
    .map(({ method, path }) => `${method} ${path}`)
    .filter((route) => !(route in others) && !(route.replace("GET ", "") in pages))
    .filter((route) => !ofSessions.some((pattern) => pattern.test(route)));
  expect(missing).toEqual([]);
});

test("every act and file has its call", async () => {
  const { json } = await call(`${apiUrl}/openapi.json`);
  const { paths } = json as { paths: Record<string, Record<string, unknown>> };
  for (const [route, operation] of Object.entries(others)) {
    const [method = "", path = ""] = operation.split(" ");
    expect([route, method in (paths[path] ?? {})]).toEqual([route, true]);
  }
});

test.each(Object.keys(pages))("all that %s shows is in the API, with the same value", async (path) => {
  const { calls, shows } = pages[path] ?? { calls: [], shows: {} };
  const page = await alice.get(
    path.replace(":id", path.startsWith("/runs") ? ids.run : ids.user).replace(":name", "main"),
  );
  expect(page.status).toBe(200);
  const answers = await Promise.all(calls.map(askApi));
  const shown = labelsOf(page.text);
  expect([...shown.keys()].filter((label) => !(label in shows) && label !== "Change")).toEqual([]);
  expect(shown.size).toBeGreaterThan(2);
  for (const [label, value] of shown) {
    const field = shows[label];
    if (field === undefined) continue;
    const [place, textOf] = typeof field === "string" ? [field, plainText] : field;
    const told = valueAt(answers, place);
    expect([label, place, told === undefined]).toEqual([label, place, false]);
    const expected = textOf(told);
    if (expected !== undefined) expect([label, value]).toEqual([label, expect.stringContaining(expected)]);
  }
});

async function askApi(one: PageInApi["calls"][number]): Promise<unknown> {
  const { path, body } = typeof one === "string" ? { path: one, body: undefined } : one;
  const token = body === undefined ? tokens.admin : tokens.login;
  const address = path.replace(":user", ids.user).replace(":run", ids.run);
  const answer = await call(`${apiUrl}${address}`, { token, body });
  expect([path, answer.status]).toEqual([path, 200]);
  return answer.json;
}

function valueAt(answers: readonly unknown[], place: string): unknown {
  return place.split(".").reduce<unknown>((value, key) => {
    if (Array.isArray(value)) return value[key === "*" ? 0 : Number(key)];
    return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
  }, answers);
}

function plainText(value: unknown): string | undefined {
  if (value === null) return undefined;
  const time = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}):/.exec(String(value));
  return time ? `${time[1]} ${time[2]} UTC` : String(value);
}

/** Names of facts, columns and figures, with the text beside them; of a table that of its first row. */
function labelsOf(page: string): Map<string, string> {
  const bare = (markup = "") =>
    markup.replaceAll(/<[^>]*>/g, "").replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
  const labels = new Map<string, string>();
  const note = (label: string, value: string) => labels.has(label) || labels.set(label, value);
  for (const [, name, value] of page.matchAll(/<dt>(.*?)<\/dt><dd>(.*?)<\/dd>/gs))
    note(bare(name), bare(value));
  for (const [, value, name] of page.matchAll(/<li><strong>(.*?)<\/strong> (.*?)<\/li>/gs))
    note(bare(name), bare(value));
  for (const [, name, value] of page.matchAll(/<td data-name="([^"]*)"[^>]*>(.*?)<\/td>/gs))
    note(bare(name), bare(value));
  for (const [, name] of page.matchAll(/<th scope="col"[^>]*>(.*?)<\/th>/gs)) note(bare(name), "");
  for (const [, name] of page.matchAll(/<div class="answer[^"]*"><p><strong>(The chain[^<]*)/g))
    note(bare(name), "");
  return labels;
}
