// The two roles of docs/operations.md, made by exactly the statements there: the owner of the tables migrates, and a daemon that
// may neither change the tables nor rewrite the audit does all of its work (decision 13, rule 24).

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import { loadConfig } from "../../src/config/load-config.ts";
import { startDaemon } from "../../src/daemon.ts";
import { Visitor } from "../console/console-world.ts";
import { runCommand } from "../support/command.ts";
import { call, callerOf, tokens } from "../support/http-server.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import { createKeptLog } from "../support/kept-logs.ts";
import { deletions, people, person } from "../support/sync-world.ts";
import { secretOf, totpOf } from "../verification/verification-world.ts";

// Roles and databases belong to the whole server, which other test files share.
const own = `least_${randomBytes(4).toString("hex")}`;
const [owner, daemonRole] = [`${own}_owner`, `${own}_daemon`];
const passwords = { [owner]: randomBytes(8).toString("hex"), [daemonRole]: randomBytes(8).toString("hex") };

let slapd: Slapd;
let asOwner: Installation;
let asDaemon: Installation;
beforeAll(async () => {
  const [make = "", grant = ""] = await documentedStatements();
  await runAs(inject("postgresUrl"), make);
  const withPassword = person("alice").replace("sn: alice", "sn: alice\nuserPassword: password of alice");
  const admins =
    "dn: cn=admins,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: admins\n" +
    "member: uid=alice,ou=people,dc=example,dc=org\n\n";
  slapd = await startSlapd({ ldif: people(5) + withPassword + admins });
  const config = {
    http: {
      listen: "127.0.0.1:0",
      callers: [
        callerOf("login-service", tokens.login, ["login"]),
        callerOf("help-desk", tokens.admin, ["admin"]),
        callerOf("prometheus", tokens.metrics, ["metrics"]),
      ],
    },
    console: { listen: "127.0.0.1:0", roles: { admin: ["admins"] } },
    retention: { auditEvents: "30d", removedUsers: "30d", syncRuns: "7d" },
  };
  asOwner = await createInstallation({ slapd, database: databaseAs(owner), config: {} });
  asDaemon = await createInstallation({ slapd, database: databaseAs(daemonRole), config });
  await done(asOwner, "migrate");
  await runAs(urlAs(owner), grant);
});
afterAll(async () => {
  await Promise.all([asOwner?.remove(), asDaemon?.remove(), slapd?.stop()]);
  const server = inject("postgresUrl");
  for (const statement of [`database if exists ${own} with (force)`, `role if exists ${daemonRole}`])
    await runAs(server, `drop ${statement}`);
  await runAs(server, `drop role if exists ${owner}`);
});

/** The SQL of the section, with names that nobody else has: before the migration, and after it. */
async function documentedStatements(): Promise<string[]> {
  const page = await readFile(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const [, section = ""] = page.split("### Role and database on a PostgreSQL server\n");
  const blocks = [...section.matchAll(/```sql\n(.*?)```/gs)].slice(0, 2).map(([, sql = ""]) => sql);
  expect(blocks).toHaveLength(2);
  return blocks.map((sql) =>
    sql
      .replace(/(create role dirmfa_)(\w+)( login password )'…'/g, (_, create, name, login) =>
        [create, name, login, `'${passwords[`${own}_${name}`]}'`].join(""),
      )
      .replaceAll(/\bdirmfa(?=\b|_)/g, own),
  );
}

async function runAs(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {}); // ended by the drop, at the latest
  await client.connect();
  // `create database` wants to be alone.
  for (const statement of sql.split(";")) if (statement.trim() !== "") await client.query(statement);
  await client.end();
}

function urlAs(role: string): string {
  const url = new URL(inject("postgresUrl"));
  url.username = role;
  url.password = passwords[role] ?? "";
  url.pathname = `/${own}`;
  return url.href;
}

function databaseAs(role: string) {
  return { kind: "postgres", url: urlAs(role), poolSize: 4 } as const;
}

async function done(installation: Installation, ...args: string[]): Promise<string> {
  const ran = await runCommand("--config", installation.configPath, ...args);
  expect(ran, args.join(" ")).toMatchObject({ code: 0, stderr: "" });
  return ran.stdout;
}
const dirmfa = (...args: string[]) => done(asDaemon, ...args);

async function open() {
  const { log, lines } = createKeptLog();
  const daemon = await startDaemon(await loadConfig(asDaemon.configPath, {}), log);
  return { ...daemon, lines };
}

async function query(sql: string) {
  const client = new pg.Client({ connectionString: urlAs(daemonRole) });
  client.on("error", () => {}); // ended by the drop, at the latest
  await client.connect();
  const { rows } = await client.query(sql);
  await client.end();
  return rows;
}

test("a daemon that does not own the tables imports, enrolls, verifies, tells, seals, serves the console and purges, and the commands for unusual days work", async () => {
  await dirmfa("key", "generate");
  await dirmfa("check");
  let daemon = await open();
  const login = (path: string, body: object) =>
    call(`${daemon.address}/v1/${path}`, { token: tokens.login, body });
  try {
    // A first import, a purge to come and a run that is held.
    await dirmfa("sync");
    await slapd.modify(deletions(["user0004"]));
    await dirmfa("sync");

    const begun = (await login("enrollment", { username: "user0000" })).json as { secret: string };
    const totp = totpOf(secretOf(begun.secret), new Date());
    const confirmed = await login("enrollment/confirm", { username: "user0000", totp });
    expect(confirmed.status).toBe(200);
    const { backupCodes } = confirmed.json as { backupCodes: string[] };
    expect((await login("verify", { username: "user0000", backupCode: backupCodes[0] })).status).toBe(200);
    for (let wrong = 0; wrong < 6; wrong += 1)
      await login("verify", { username: "user0000", totp: "000000" });

    for (const command of ["require", "unrequire", "unlock", "disable-mfa", "pass"])
      await dirmfa("user", command, "user0000");
    await dirmfa("user", "show", "user0000");
    await dirmfa("run", "list");
    expect(await dirmfa("notice", "list")).toContain("enrolled");
    await dirmfa("audit", "list");
    await dirmfa("key", "status");

    const visitor = new Visitor(daemon.consoleAddress ?? "", {});
    await visitor.get("/sign-in");
    const pass = /^enrollment pass +(\S+)$/m.exec(await dirmfa("user", "pass", "alice"))?.[1] ?? "";
    await visitor.post("/sign-in", { username: "alice", password: "password of alice" });
    await visitor.get("/settings");
    const shown = await visitor.post("/settings/enrollment", { pass });
    const secret = /name="secret" value="([A-Z2-7]+)"/.exec(shown.text)?.[1] ?? "";
    const code = totpOf(secretOf(secret), new Date());
    expect((await visitor.post("/settings/enrollment/confirm", { code, pass })).status).toBe(200);
    expect((await visitor.get("/settings")).text).toContain("alice");

    await expect
      .poll(() => query("select count(*)::int as n from audit_seals"), { timeout: 30_000 })
      .not.toEqual([{ n: 0 }]);
    await daemon.stop();

    // As if half a year had passed.
    await runAs(
      urlAs(owner),
      "update users set removed_at = removed_at - interval '1 year' where state = 'removed'",
    );
    daemon = await open();
    await expect
      .poll(() => query("select username from users where username = 'user0004'"), { timeout: 30_000 })
      .toEqual([]);
    expect(await query("select count(*)::int as n from audit_events where action = 'user-purge'")).toEqual([
      { n: 1 },
    ]);
    const metrics = await call(`${daemon.address}/metrics`, { token: tokens.metrics });
    expect(metrics.status).toBe(200);
    expect(
      daemon.lines.filter((line) => line.includes("42501") || line.includes("permission denied")),
    ).toEqual([]);
  } finally {
    await daemon.stop();
  }

  await dirmfa("database", "restored");
  await dirmfa("directory", "list");
  await dirmfa("directory", "rekey", "example", "--by", "username");
  await dirmfa("key", "generate");
  await dirmfa("key", "rotate");
  await dirmfa("sync");
  await dirmfa("audit", "accept", "--reason", "tried");
});

test("its role makes no table, so that it cannot migrate", async () => {
  await expect(query("create table mine (a int)")).rejects.toMatchObject({ code: "42501" });
  const migrated = await runCommand("--config", asDaemon.configPath, "migrate");
  expect(migrated).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("the role that owns the tables"),
  });
});
