// A console over a real OpenLDAP and a real database, with people of every role, and visitors that speak HTTP as a browser does.

import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { directoryConfigFor, type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import type { ConsoleConfig, DirectoryConfig, MfaConfig } from "../../src/config/config.ts";
import { type ConsoleServer, createConsoleServer } from "../../src/console/console-server.ts";
import type { ConsoleDeps } from "../../src/console/deps.ts";
import { startSync } from "../../src/sync/start-sync.ts";
import { createSyncRunner, type SyncRunner } from "../../src/sync/sync-runner.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import { findUserByName } from "../../src/users/users-table.ts";
import { noteSecret } from "../support/kept-logs.ts";
import { plainConfig, plainOverview } from "../support/plain-config.ts";
import {
  openVerificationWorld,
  secretOf,
  type VerificationWorld,
} from "../verification/verification-world.ts";

export const passwordOf = (uid: string) => `password of ${uid}`;
const groupsOf = { admin: "mfa admins", helpDesk: "help desk", auditor: "auditors" };
const people = {
  alice: "admin",
  alan: "admin",
  helen: "helpDesk",
  arthur: "auditor",
  bob: undefined,
  carol: undefined,
  dave: undefined,
  erin: undefined,
} as const;
export type Uid = keyof typeof people;

export interface ConsoleWorld extends VerificationWorld {
  slapd: Slapd;
  directory: DirectoryConfig;
  console: ConsoleServer;
  url: string;
  runner: SyncRunner;
  /** Reads the directory into the store. */
  sync(): Promise<void>;
  idOf(uid: string): Promise<string>;
  /** Another configuration, as after a reload. */
  reload(console: Partial<ConsoleConfig>, mfa?: Partial<MfaConfig>): Promise<void>;
  visitor(headers?: Record<string, string>): Visitor;
  /** Signed in with password and code; enrolls first where needed. */
  signIn(uid: Uid): Promise<Visitor>;
  secrets: Map<string, Buffer>;
}

export interface Page {
  status: number;
  text: string;
  headers: Headers;
  location: string | null;
}

/** One browser: keeps its cookie, sends the token of the page it saw last. */
export class Visitor {
  cookie = "";
  formToken = "";
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, headers: Record<string, string>) {
    this.#url = url;
    this.#headers = headers;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Page> {
    return this.#ask(path, { headers });
  }

  post(
    path: string,
    fields: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<Page> {
    const body = new URLSearchParams({ form: this.formToken, ...fields }).toString();
    const type = { "content-type": "application/x-www-form-urlencoded", origin: this.#url };
    return this.#ask(path, { method: "POST", headers: { ...type, ...headers }, body });
  }

  async #ask(path: string, init: RequestInit & { headers: Record<string, string> }): Promise<Page> {
    const headers = {
      "user-agent": "test",
      ...(this.cookie ? { cookie: this.cookie } : {}),
      ...this.#headers,
    };
    const answer = await fetch(this.#url + path, {
      ...init,
      redirect: "manual",
      headers: { ...headers, ...init.headers },
    });
    const set = answer.headers.get("set-cookie");
    if (set) this.cookie = set.split(";")[0] ?? "";
    noteSecret(this.cookie.split("=")[1] ?? "");
    const text = await answer.text();
    this.formToken = /name="form" value="([^"]+)"/.exec(text)?.[1] ?? this.formToken;
    return { status: answer.status, text, headers: answer.headers, location: answer.headers.get("location") };
  }
}

export async function openConsoleWorld(
  options: { console?: Partial<ConsoleConfig>; mfa?: Partial<MfaConfig>; ldif?: string } = {},
): Promise<ConsoleWorld> {
  const [slapd, world] = await Promise.all([
    startSlapd({ ldif: peopleLdif() + (options.ldif ?? "") }),
    openVerificationWorld(),
  ]);
  const verification = await world.replica(options.mfa);
  const { db, log } = verification;
  const { users } = directoryConfigFor(slapd);
  const directory = directoryConfigFor(slapd, { name: "main", users: { ...users, aliases: ["mail"] } });
  const syncDeps = {
    db,
    log,
    policy: mfaPolicyOf(verification.mfa),
    directories: verification.directories,
    holder: "test",
  };
  const runner = createSyncRunner(syncDeps);
  const consoleConfig = (changes: Partial<ConsoleConfig> = {}): ConsoleConfig => ({
    listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
    publicOrigin: undefined,
    tls: undefined,
    cookieSecure: false,
    roles: {
      admin: [`cn=${groupsOf.admin},ou=groups,dc=example,dc=org`],
      helpDesk: [groupsOf.helpDesk],
      auditor: [groupsOf.auditor],
    },
    // As in production: a busy machine takes minutes for a file of tests.
    session: { idleMs: 900_000, absoluteMs: 3_600_000 },
    ...options.console,
    ...changes,
  });
  const depsOf = (console: ConsoleConfig, mfa = verification.mfa): ConsoleDeps => ({
    config: { ...plainConfig({ mfa, directories: [directory] }), console },
    verification: { ...verification, mfa },
    runner,
    metrics: { countVerification: () => {} },
    ...plainOverview,
  });
  const console = await createConsoleServer(depsOf(consoleConfig()));
  const url = await console.listen();
  const secrets = new Map<string, Buffer>();
  const visitor = (headers: Record<string, string> = {}) => new Visitor(url, headers);

  const opened: ConsoleWorld = {
    ...world,
    deps: verification,
    slapd,
    directory,
    console,
    url,
    runner,
    secrets,
    visitor,
    async sync() {
      const signal = new AbortController().signal;
      const actor = { name: "test", via: "sync" } as const;
      const request = { directory, trigger: "request", actor, dryRun: false, signal } as const;
      const started = await startSync(syncDeps, request);
      if (started.kind !== "started") throw new Error("another run is going on");
      const run = await started.finished;
      if (run.status !== "succeeded") throw new Error(`the run is ${run.status}: ${run.error?.message}`);
    },
    async idOf(uid) {
      const match = await findUserByName(db, { username: uid });
      if (match.kind !== "user") throw new Error(`${uid} is ${match.kind}`);
      return match.user.id;
    },
    async reload(changes, mfa = {}) {
      (await console.prepare(depsOf(consoleConfig(changes), { ...verification.mfa, ...mfa })))();
    },
    async signIn(uid) {
      const one = visitor();
      await one.get("/sign-in");
      noteSecret(passwordOf(uid), slapd.syncPassword);
      const shown = await one.post("/sign-in", { username: uid, password: passwordOf(uid) });
      if (shown.location === "/settings") {
        await one.get("/settings");
        const begun = await one.post("/settings/enrollment");
        const secretPlain = /name="secret" value="([A-Z2-7]+)"/.exec(begun.text)?.[1] ?? "";
        secrets.set(uid, secretOf(secretPlain));
        const confirmed = await one.post("/settings/enrollment/confirm", { code: codeOf(opened, uid) });
        if (confirmed.status !== 200) throw new Error(`${uid} did not enroll: ${confirmed.status}`);
      } else {
        await one.get("/sign-in/code");
        const taken = await one.post("/sign-in/code", { code: codeOf(opened, uid) });
        if (taken.location !== "/") throw new Error(`${uid} is not signed in: ${taken.status} ${taken.text}`);
      }
      world.clock.step();
      await one.get("/settings");
      return one;
    },
    async close() {
      await console.close();
      await runner.stop();
      await Promise.all([slapd.stop(), world.close()]);
    },
  };
  await opened.sync();
  return opened;
}

export function codeOf(world: ConsoleWorld, uid: string): string {
  const secret = world.secrets.get(uid);
  if (!secret) throw new Error(`${uid} has no authenticator`);
  return world.codeOf({ secret });
}

function peopleLdif(): string {
  const dnOf = (uid: string) => `uid=${uid},ou=people,dc=example,dc=org`;
  const persons = Object.keys(people).map((uid) =>
    ldifEntry(dnOf(uid), [
      ["objectClass", "inetOrgPerson"],
      ["uid", uid],
      ["cn", `${uid} <b>Example</b>`],
      ["sn", "Example"],
      ["mail", `${uid}@example.org`],
      ["userPassword", passwordOf(uid)],
    ]),
  );
  const groups = Object.entries(groupsOf).map(([role, cn]) =>
    ldifEntry(`cn=${cn},ou=groups,dc=example,dc=org`, [
      ["objectClass", "groupOfNames"],
      ["cn", cn],
      ...Object.entries(people)
        .filter(([, has]) => has === role)
        .map(([uid]) => ["member", dnOf(uid)] as const),
    ]),
  );
  return [...persons, ...groups].join("");
}
