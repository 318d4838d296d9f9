// A private FreeRADIUS with the example's own files (examples/freeradius): own folder, own loopback port, and radclient to ask it.

import { execFile, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endingWithParent } from "./end-with-parent.ts";
import { ensureServers } from "./install-servers.ts";
import { freePort } from "./ports.ts";
import type { Slapd } from "./slapd.ts";
import { endOf } from "./slapd-process.ts";

export interface Freeradius {
  port: number;
  /** One Access-Request; the answer's packet type and attributes. */
  ask(attributes: Record<string, string>): Promise<RadiusAnswer>;
  /** What it said, for a test that has to explain itself. */
  log(): string;
  stop(): Promise<void>;
}

export interface RadiusAnswer {
  packet: "Access-Accept" | "Access-Reject" | "Access-Challenge" | "none";
  message: string | undefined;
  /** As radclient takes it again: 0x and hexadecimal digits. */
  state: string | undefined;
}

const example = resolve(import.meta.dirname, "../../examples/freeradius");
export const radiusSecret = "testing-secret-0123";

export async function startFreeradius(options: {
  site: "dirmfa-code" | "dirmfa-challenge" | "dirmfa-appended";
  apiUrl: string;
  token: string;
  slapd: Slapd;
}): Promise<Freeradius> {
  const programs = await ensureServers(["freeradius"]);
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-radius-"));
  const port = await freePort();
  await mkdir(join(folder, "policy"));
  await cp(join(example, "policy/dirmfa"), join(folder, "policy/dirmfa"));
  await cp(join(example, "mods/dirmfa"), join(folder, "dirmfa-mods"));
  const site = await readFile(join(example, "sites", options.site), "utf8");
  await writeFile(join(folder, "site"), site.replace("port = 1812", `port = ${port}`));
  await writeFile(join(folder, "dirmfa.conf"), settings(options), { mode: 0o600 });
  await writeFile(join(folder, "radiusd.conf"), configuration(folder, options.slapd), { mode: 0o600 });
  const command = [programs.freeradius ?? "freeradius", "-f", "-l", "stdout", "-x", "-d", folder] as const;
  const [first, ...rest] = endingWithParent([...command]);
  const child = spawn(first, rest, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const output of [child.stdout, child.stderr])
    output.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
  const stop = async () => {
    child.kill("SIGTERM");
    await endOf(child);
    await rm(folder, { recursive: true, force: true });
  };
  for (let tries = 600; !said.includes("Ready to process requests"); tries -= 1) {
    if (child.exitCode !== null || tries === 0) {
      await stop();
      throw new Error(`FreeRADIUS did not start: ${said.slice(-2_000)}`);
    }
    await sleep(100);
  }
  return {
    port,
    ask: (attributes) => ask(programs.radclient ?? "radclient", port, attributes),
    log: () => said,
    stop,
  };
}

function settings({ apiUrl, token }: { apiUrl: string; token: string }): string {
  return `dirmfa_api = "${apiUrl}"\ndirmfa_ca = "/etc/ssl/certs/ca-certificates.crt"\ndirmfa_token = "${token}"\n`;
}

function configuration(folder: string, slapd: Slapd): string {
  return `
prefix = /usr
localstatedir = ${folder}
logdir = ${folder}
run_dir = ${folder}
libdir = /usr/lib/freeradius
confdir = ${folder}
pidfile = ${folder}/radiusd.pid
max_request_time = 30
cleanup_delay = 5
security {
  reject_delay = 0
}
client local {
  ipaddr = 127.0.0.1
  secret = ${radiusSecret}
}
thread pool {
  start_servers = 4
  max_servers = 8
  min_spare_servers = 1
  max_spare_servers = 4
}
modules {
  $INCLUDE dirmfa.conf
  $INCLUDE dirmfa-mods
  always reject {
    rcode = reject
  }
  always ok {
    rcode = ok
  }
  always handled {
    rcode = handled
  }
  ldap {
    server = "${slapd.url}"
    identity = "${slapd.syncDn}"
    password = "${slapd.syncPassword}"
    base_dn = "ou=people,${slapd.suffix}"
    user_dn = "LDAP-UserDn"
    user {
      base_dn = "\${..base_dn}"
      filter = "(uid=%{User-Name})"
    }
    pool {
      start = 0
      min = 0
      max = 8
      spare = 1
      retry_delay = 1
    }
  }
}
policy {
  $INCLUDE policy/dirmfa
}
$INCLUDE site
`;
}

function ask(radclient: string, port: number, attributes: Record<string, string>): Promise<RadiusAnswer> {
  const lines = Object.entries(attributes).map(([name, value]) =>
    /^0x/.test(value) ? `${name} = ${value}` : `${name} = "${value.replaceAll(/["\\]/g, "\\$&")}"`,
  );
  return new Promise((resolve) => {
    const args = ["-x", "-r", "1", "-t", "10", `127.0.0.1:${port}`, "auth", radiusSecret];
    // It ends with 1 for a reject; what it printed says which.
    const child = execFile(radclient, args, (_error, printed) => resolve(answerIn(printed)));
    child.stdin?.end(`${lines.join(", ")}\n`);
  });
}

function answerIn(printed: string): RadiusAnswer {
  const received = printed.slice(printed.indexOf("Received "));
  const packet = /^Received (Access-\w+)/.exec(received)?.[1];
  return {
    packet: isPacket(packet) ? packet : "none",
    message: /Reply-Message = "([^"]*)"/.exec(received)?.[1],
    state: /State = (0x[0-9a-f]+)/.exec(received)?.[1],
  };
}

function isPacket(text: string | undefined): text is Exclude<RadiusAnswer["packet"], "none"> {
  return text === "Access-Accept" || text === "Access-Reject" || text === "Access-Challenge";
}
