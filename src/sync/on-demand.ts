// When a directory is asked for one user, and how often (rule 26): one question for one name however many wait for it, one at
// a time for each directory, no more than a rate, none for a while after an answer or a failure. Memory is bounded.

import type { Actor } from "../audit/audit-events-table.ts";
import type { Clock } from "../clock.ts";
import type { DirectoryConfig } from "../config/config.ts";
import { digestOf } from "../directory/map-entry.ts";
import { createUserReader, type UserReader } from "../directory/read-user.ts";
import { AppError, errorCodeOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { createRecent } from "../recent.ts";
import type { Database } from "../store/database.ts";
import { isUsableUsername, usernameKeyOf } from "../username.ts";
import { type Refreshed, refreshUser } from "./refresh-user.ts";

/** What came of a question; `failed` with the code of why. */
export type DirectoryRefreshed = { directory: string } & (
  | Refreshed
  | { outcome: "failed"; code: string }
  /** Not asked: too many questions, or the directory has failed a moment ago. */
  | { outcome: "not-asked" }
);

export interface OnDemand {
  /** For a sign-in. Resolves, in the time that the configuration allows, with whether the store may say something else now. */
  readForSignIn(name: { username: string; directory?: string | undefined }): Promise<boolean>;
  /** For an admin: asked whatever sign-ins have asked, in every directory or in one. Rejects with `directory-unknown`. */
  refresh(request: {
    /** A sign-in name; undefined where `user` says who is meant. */
    name: string | undefined;
    user?: { directory: string; directoryId: string } | undefined;
    directory?: string | undefined;
    actor: Actor;
  }): Promise<DirectoryRefreshed[]>;
  stop(): Promise<void>;
}

export interface OnDemandDeps {
  db: Database;
  log: Log;
  clock: Clock;
  holder: string;
  /** Of the daemon; in the audit events of what sign-ins cause. */
  requestId: string;
  onRefreshed?: (directory: string, outcome: string) => void;
}

// Names that were asked for lately, in each directory, at least: 24 characters each, whatever the names are.
const namesRemembered = 10_000;
// Questions that may wait for their turn; whoever comes then is answered from the store.
const mostWaiting = 32;
// After a failure sign-ins are not made to wait for the next one. Runs and admins go on.
const restAfterFailureMs = 10_000;
// An admin waits for a slow directory longer than a sign-in may.
const adminTimeoutMs = 10_000;

export function createOnDemand(deps: OnDemandDeps, directories: readonly DirectoryConfig[]): OnDemand {
  const askers = new Map(directories.map((directory) => [directory.name, new Asker(deps, directory)]));
  const meant = (directory: string | undefined): Asker[] =>
    directory === undefined
      ? [...askers.values()]
      : [askers.get(directory)].filter((asker) => asker !== undefined);
  return {
    async readForSignIn({ username, directory }) {
      if (!isUsableUsername(username)) return false;
      const answers = await Promise.all(meant(directory).map((asker) => asker.askForSignIn(username)));
      return answers.includes(true);
    },
    async refresh({ name, user, directory = user?.directory, actor }) {
      const asked = meant(directory);
      if (asked.length === 0) {
        throw new AppError("directory-unknown", "There is no such directory in the configuration.");
      }
      if (name !== undefined && !isUsableUsername(name)) {
        return asked.map((asker) => ({ directory: asker.name, outcome: "not-found" }));
      }
      const ids = user === undefined ? [] : [user.directoryId];
      return Promise.all(asked.map((asker) => asker.ask({ name, ids, actor })));
    },
    async stop() {
      await Promise.all([...askers.values()].map((asker) => asker.stop()));
    },
  };
}

interface Question {
  name: string | undefined;
  ids: readonly string[];
  actor: Actor;
}

/** The questions to one directory. */
class Asker {
  readonly name: string;
  readonly #deps: OnDemandDeps;
  readonly #directory: DirectoryConfig;
  readonly #reader: UserReader;
  readonly #stopping = new AbortController();
  /** What is being asked or waits, by name. */
  readonly #open = new Map<string, Promise<DirectoryRefreshed>>();
  /** Until when a name is not asked for again, by its digest. */
  readonly #asked = createRecent<number>(namesRemembered);
  #last: Promise<unknown> = Promise.resolve();
  #tokens: number;
  #filledAt: number;
  #restsUntil = 0;

  constructor(deps: OnDemandDeps, directory: DirectoryConfig) {
    this.name = directory.name;
    this.#deps = deps;
    this.#directory = directory;
    this.#reader = createUserReader(directory, directory.onDemand.timeoutMs);
    this.#tokens = directory.onDemand.perMinute;
    this.#filledAt = this.#now();
  }

  /** True when the store may know the user now. Never rejects, and comes back in time. */
  async askForSignIn(username: string): Promise<boolean> {
    const { enabled, timeoutMs } = this.#directory.onDemand;
    if (!enabled) return false;
    const key = digestOf(["name", usernameKeyOf(username)]);
    const open = this.#open.get(key) ?? this.#startForSignIn(key, username);
    if (open === undefined) {
      this.#deps.onRefreshed?.(this.name, "not-asked");
      return false;
    }
    const timer = Promise.withResolvers<undefined>();
    const timeout = setTimeout(() => timer.resolve(undefined), timeoutMs);
    const answer = await Promise.race([open, timer.promise]);
    clearTimeout(timeout);
    // The question has the same time and fails with it; the next sign-in must not come before that is known.
    if (answer === undefined) this.#rest();
    return answer?.outcome === "changed";
  }

  #startForSignIn(key: string, username: string): Promise<DirectoryRefreshed> | undefined {
    const now = this.#now();
    if (now < this.#restsUntil || (this.#asked.get(key) ?? 0) > now) return undefined;
    if (this.#open.size >= mostWaiting || !this.#takeToken(now)) return undefined;
    const actor: Actor = { name: "sign-in", via: "sync", requestId: this.#deps.requestId };
    return this.#start(key, { name: username, ids: [], actor }, this.#directory.onDemand.timeoutMs);
  }

  /** For an admin, who is not held back by what sign-ins asked; a question that is open already answers both. */
  async ask(question: Question): Promise<DirectoryRefreshed> {
    const { name, ids } = question;
    const key = name === undefined ? digestOf(["ids", ...ids]) : digestOf(["name", usernameKeyOf(name)]);
    const open = this.#open.get(key);
    // One that began before the admin asked may have read what was there before.
    if (open !== undefined) await open;
    if (this.#open.size >= mostWaiting) return { directory: this.name, outcome: "not-asked" };
    const timeoutMs = Math.max(adminTimeoutMs, this.#directory.onDemand.timeoutMs);
    return this.#open.get(key) ?? this.#start(key, question, timeoutMs);
  }

  #start(key: string, question: Question, timeoutMs: number): Promise<DirectoryRefreshed> {
    // The time runs while the question waits for its turn, too.
    const signal = AbortSignal.any([timeoutSignal(timeoutMs), this.#stopping.signal]);
    const turn = this.#last.then(() => this.#carryOut(question, signal));
    this.#last = turn;
    const open = turn.finally(() => {
      this.#open.delete(key);
      this.#remember(key);
    });
    this.#open.set(key, open);
    return open;
  }

  async #carryOut(question: Question, signal: AbortSignal): Promise<DirectoryRefreshed> {
    const { db, log, holder, onRefreshed } = this.#deps;
    const directory = this.name;
    try {
      const request = { ...question, directory: this.#directory, signal };
      const refreshed = await refreshUser({ db, holder, reader: this.#reader }, request);
      if (refreshed.outcome === "held") {
        log.warn({ directory, reasons: refreshed.reasons }, "user read on demand is held for a run");
      }
      onRefreshed?.(directory, refreshed.outcome);
      return { directory, ...refreshed };
    } catch (error) {
      // A name that the directory makes nothing of says nothing about the next one.
      if (errorCodeOf(error) !== "directory-failed") this.#rest();
      log.warn({ err: error, directory }, "user not read on demand");
      onRefreshed?.(directory, "failed");
      return { directory, outcome: "failed", code: errorCodeOf(error) ?? "internal" };
    }
  }

  #rest(): void {
    this.#restsUntil = this.#now() + restAfterFailureMs;
  }

  #remember(key: string): void {
    this.#asked.note(key, this.#now() + this.#directory.onDemand.unknownForMs);
  }

  #takeToken(now: number): boolean {
    const { perMinute } = this.#directory.onDemand;
    const elapsedMs = Math.max(0, now - this.#filledAt);
    this.#tokens = Math.min(perMinute, this.#tokens + (elapsedMs / 60_000) * perMinute);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #now(): number {
    return this.#deps.clock.now().getTime();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new AppError("aborted", "dirmfa was stopped"));
    await this.#last;
    await this.#reader.stop();
  }
}

function timeoutSignal(timeoutMs: number): AbortSignal {
  const controller = new AbortController();
  const reason = new AppError(
    "directory-timeout",
    `the directory did not answer for one user in ${timeoutMs} ms`,
  );
  setTimeout(() => controller.abort(reason), timeoutMs).unref();
  return controller.signal;
}
