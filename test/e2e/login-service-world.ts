// The whole chain, each part its own process: slapd, dirmfa on PostgreSQL, the example login service.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { runStatement } from "../../scripts/servers/postgres.ts";
import { type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import { type Client, createClient } from "../../src/client/client.ts";
import { createTestDatabase } from "../support/databases.ts";
import { tokens } from "../support/http-server.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import { keptLines, noteSecret, noteToken } from "../support/kept-logs.ts";
import { type Phone, phoneWith } from "../support/phone.ts";

export interface LoginServiceWorld {
  slapd: Slapd;
  installation: Installation;
  daemon: ChildProcess;
  /** As the login service has it, for what a test wants to have happened before. */
  dirmfa: Client;
  /** Of the login service. */
  url: string;
  sql(statement: string): Promise<void>;
  /** Sets up MFA for the user, not through pages. */
  enroll(username: string): Promise<{ phone: Phone; backupCodes: string[] }>;
  stop(): Promise<void>;
}

/** Awkward on purpose: it must survive the QR code. */
export const issuer = "Käse & Söhne / 株式会社";

export const password = "right-password";

export function personLdif(uid: string, cn = `${uid} Test`, rdn = `uid=${uid}`): string {
  return ldifEntry(`${rdn},ou=people,dc=example,dc=org`, [
    ["objectClass", "inetOrgPerson"],
    ["uid", uid],
    ["cn", cn],
    ["sn", "Test"],
    ["userPassword", password],
  ]);
}

/** `settings` are environment variables of the login service. */
export async function openLoginServiceWorld(
  ldif: string,
  settings: Record<string, string> = {},
): Promise<LoginServiceWorld> {
  await using started = new AsyncDisposableStack();
  const [slapd, database] = await Promise.all([startSlapd({ ldif }), createTestDatabase()]);
  started.defer(() => slapd.stop());
  started.defer(() => database.drop());
  const sha256 = createHash("sha256").update(tokens.login).digest("hex");
  const installation = await createInstallation({
    slapd,
    database: database.config,
    config: {
      http: {
        listen: "127.0.0.1:0",
        callers: [{ name: "login-service", tokenSha256: sha256, scopes: ["login"] }],
      },
      mfa: { issuer, requireForNewUsers: true, initialImport: "exempt" },
    },
  });
  started.defer(() => installation.remove());
  await succeeds(installation, "key", "generate");
  await succeeds(installation, "sync");
  const { process: daemon, address } = await installation.serve();
  const dirmfa = createClient({ baseUrl: address, token: tokens.login });
  const loginService = await startLoginService(installation, slapd, { DIRMFA_URL: address, ...settings });
  started.defer(() => loginService.stop());

  const running = started.move();
  return {
    slapd,
    installation,
    daemon,
    dirmfa,
    url: loginService.url,
    sql: (statement) =>
      database.config.kind === "postgres" ? runStatement(database.config.url, statement) : Promise.reject(),
    async enroll(username) {
      const { secret } = await dirmfa.beginEnrollment({ username });
      const phone = await phoneWith(secret);
      const { backupCodes } = await dirmfa.confirmEnrollment({ username, totp: await phone.code() });
      noteSecret(...backupCodes);
      return { phone, backupCodes };
    },
    stop: () => running.disposeAsync(),
  };
}

export async function succeeds(installation: Installation, ...args: string[]): Promise<void> {
  const { code, stderr } = await installation.run(...args);
  if (code !== 0) throw new Error(`dirmfa ${args.join(" ")} ended with ${code}: ${stderr}`);
}

async function startLoginService(installation: Installation, slapd: Slapd, settings: Record<string, string>) {
  const tokenFile = join(installation.folder, "login.token");
  await writeFile(tokenFile, `${tokens.login}\n`, { mode: 0o600 });
  noteSecret(password, slapd.syncPassword);
  noteToken(tokens.login);
  const lines = keptLines("login service");
  const mainFile = resolve(import.meta.dirname, "../../examples/login-service/main.ts");
  const child = spawn(process.execPath, [mainFile], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      LISTEN: "127.0.0.1:0",
      DIRMFA_TOKEN_FILE: tokenFile,
      LDAP_URL: slapd.url,
      LDAP_BIND_DN: slapd.syncDn,
      LDAP_BIND_PASSWORD_FILE: slapd.syncPasswordFile,
      LDAP_BASE: `ou=people,${slapd.suffix}`,
      ...settings,
    },
  });
  const exited = once(child, "exit");
  let said = "";
  const listening = new Promise<string>((resolve, reject) => {
    const listen = (chunk: Buffer) => {
      said += chunk;
      lines.push(chunk.toString());
      const url = /listens at (\S+)/.exec(said)?.[1];
      if (url) resolve(url);
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    void exited.then(() => reject(new Error(`the login service ended: ${said}`)));
  });
  return {
    url: await listening,
    async stop() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
