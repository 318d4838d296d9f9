// The daemon put together with notices and an event stream: a user who enrolls through the API is told by mail, the act is in
// the stream, and the log has neither the mail server's password nor the user's address (rules 22 and 32).

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config/load-config.ts";
import { startDaemon } from "../../src/daemon.ts";
import { runCommand } from "../support/command.ts";
import { openTestDatabase } from "../support/databases.ts";
import { call, callerOf, tokens } from "../support/http-server.ts";
import { createInstallation } from "../support/installation.ts";
import { createKeptLog } from "../support/kept-logs.ts";
import { secretOf, totpOf } from "../verification/verification-world.ts";
import { authority, startMailServer } from "./notices-world.ts";

test("an enrollment is told by mail and in the event stream while a daemon runs", async () => {
  await using open = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-notices-"));
  open.defer(() => rm(folder, { recursive: true }));
  const mails = open.adopt(await startMailServer(), (it) => it.close());
  const database = open.adopt(await openTestDatabase(), (it) => it.close());
  await writeFile(join(folder, "ca.pem"), authority.certPem);
  await writeFile(join(folder, "password"), "hunter2\n", { mode: 0o600 });
  const stream = join(folder, "audit.jsonl");
  const config = {
    http: { listen: "127.0.0.1:0", callers: [callerOf("login-service", tokens.login, ["login"])] },
    // A user can be of a configured directory alone; it is away, and nothing of it is asked here.
    directories: [
      {
        name: "main",
        kind: "openldap",
        urls: ["ldap://127.0.0.1:1"],
        tls: { allowPlaintext: true },
        bind: "anonymous",
        users: { bases: ["ou=people,dc=example,dc=org"] },
        schedule: "on-demand",
      },
    ],
    audit: { stream: { to: `file:${stream}` } },
    notices: {
      mail: {
        server: `smtps://localhost:${mails.port}`,
        tls: { caFile: join(folder, "ca.pem") },
        user: "dirmfa",
        passwordFile: join(folder, "password"),
        from: "dirmfa@example.org",
      },
    },
  };
  const options = { slapd: undefined, database: database.config, config };
  const installation = open.adopt(await createInstallation(options), (it) => it.remove());
  const dirmfa = (...args: string[]) => runCommand("--config", installation.configPath, ...args);
  expect((await dirmfa("key", "generate")).code).toBe(0);
  expect((await dirmfa("check")).stdout).toContain(`notices.mail: localhost:${mails.port} takes mail`);
  const { log, lines } = createKeptLog();
  const loaded = await loadConfig(installation.configPath, {});
  const daemon = open.adopt(await startDaemon(loaded, log), (it) => it.stop());

  await database.db("users").insert({
    directory: "main",
    directory_id: "ada",
    username: "ada",
    username_key: "ada",
    email: "ada@example.org",
    dn: "ada",
    dn_key: "ada",
    entry_hash: "-",
    required_new_user: false,
    state: "active",
  });
  const ask = (path: string, body: object) => call(`${daemon.address}${path}`, { token: tokens.login, body });
  const begun = await ask("/v1/enrollment", { username: "ada" });
  const { secret } = begun.json as { secret: string };
  const totp = totpOf(secretOf(secret), new Date());
  expect((await ask("/v1/enrollment/confirm", { username: "ada", totp })).status).toBe(200);

  await expect.poll(() => mails.mails.length, { timeout: 30_000 }).toBe(1);
  expect(mails.mails[0]).toMatchObject({ to: ["ada@example.org"] });
  await expect
    .poll(() => readFile(stream, "utf8").catch(() => ""), { timeout: 30_000 })
    .toContain("enrollment-confirm");
  const written = `${lines.join()}${await readFile(stream, "utf8")}${mails.mails[0]?.raw}`;
  for (const secretText of ["hunter2", secret, totp]) expect(written).not.toContain(secretText);
  expect(lines.join()).not.toContain("ada@example.org");
});
