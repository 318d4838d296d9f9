// Starts the example login service (examples/login-service) beside the demo's dirmfa, as its own process.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { endingWithParent } from "../servers/end-with-parent.ts";
import type { Slapd } from "../servers/slapd.ts";
import type { DemoPlace } from "./folder.ts";

const mainFile = resolve(import.meta.dirname, "../../examples/login-service/main.ts");

export interface RunningLoginService {
  /** Resolves when it ends, whatever the reason. */
  exited: Promise<void>;
  stop(): Promise<void>;
}

/** Resolves when it listens. Throws with its own words when it does not start. */
export async function startLoginService(place: DemoPlace, slapd: Slapd): Promise<RunningLoginService> {
  const [command, ...args] = endingWithParent([process.execPath, mainFile]);
  const child = spawn(command, args, {
    detached: true, // Ctrl-C reaches the demo alone, which stops things in order
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      LISTEN: `127.0.0.1:${place.loginPort}`,
      DIRMFA_URL: `http://127.0.0.1:${place.port}`,
      DIRMFA_TOKEN_FILE: join(place.folder, "login.token"),
      LDAP_URL: slapd.url,
      LDAP_BIND_DN: slapd.syncDn,
      LDAP_BIND_PASSWORD_FILE: slapd.syncPasswordFile,
      LDAP_BASE: `ou=people,${slapd.suffix}`,
    },
  });
  const exited = once(child, "exit").then(() => {});
  let said = "";
  const listening = new Promise<void>((resolve) => {
    const keep = (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000); // enough for what it says at its start and its end
      void appendFile(join(place.folder, "login-service.log"), chunk).catch(() => {});
      if (said.includes("listens at")) resolve();
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
  });
  await Promise.race([listening, exited]);
  if (child.exitCode !== null) throw new Error(`The login service did not start. Its last words:\n${said}`);
  return {
    exited,
    async stop() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
