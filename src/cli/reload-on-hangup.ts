// SIGHUP: the configuration is read again, as `systemctl reload` asks. A bad one is refused whole, and the daemon goes on.

import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import type { Log } from "../log.ts";

export interface Reloading {
  /** From now on signals are obeyed; one that came before is obeyed at once. */
  begin(daemon: { reload(config: Config): Promise<string[]> }): void;
  /** Waits for a reload that is under way; none begins after it. */
  end(): Promise<void>;
}

/** Listens at once: a signal during the start would end the process otherwise. */
export function reloadOnHangup(read: { path: string; env: NodeJS.ProcessEnv; log: Log }): Reloading {
  let underWay = Promise.resolve();
  let reload: (() => Promise<void>) | undefined;
  let isAsked = false;
  const listener = () => {
    if (reload) underWay = underWay.then(reload);
    else isAsked = true;
  };
  process.on("SIGHUP", listener);
  return {
    begin(daemon) {
      reload = () => reloadOnce(read, daemon);
      if (isAsked) listener();
    },
    async end() {
      reload = undefined;
      await underWay;
    },
  };
}

async function reloadOnce(
  { path, env, log }: { path: string; env: NodeJS.ProcessEnv; log: Log },
  daemon: { reload(config: Config): Promise<string[]> },
): Promise<void> {
  log.info({ path }, "reading the configuration again");
  try {
    const config = await loadConfig(path, env);
    for (const warning of config.warnings) log.warn({ warning }, "configuration warning");
    const waiting = await daemon.reload(config);
    if (waiting.length > 0)
      log.warn({ keys: waiting }, "these changes of the configuration wait for a restart");
  } catch (error) {
    log.error({ err: error }, "the configuration was not taken over; the one before stays in force");
  }
}
