// A private nginx, Apache, Caddy or HAProxy with the example's own files (examples/reverse-proxies): own folder, own loopback
// port, TLS with a certificate of ours.

import { spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerCertificate } from "./certificates.ts";
import { endingWithParent } from "./end-with-parent.ts";
import { ensureServers } from "./install-servers.ts";
import { accepts } from "./ports.ts";
import { endOf } from "./slapd-process.ts";

export type ProxyName = "nginx" | "apache" | "caddy" | "haproxy";

export interface ProxyOptions {
  certificate: ServerCertificate;
  /** Where it listens, for the login service and for the application. */
  port: number;
  /** Of http://127.0.0.1. */
  loginServicePort: number;
  applicationPort: number;
}

export interface ReverseProxy {
  stop(): Promise<void>;
}

const example = resolve(import.meta.dirname, "../../examples/reverse-proxies");

/** Resolves when it accepts connections. Throws with its own words when it does not start. */
export async function startReverseProxy(name: ProxyName, options: ProxyOptions): Promise<ReverseProxy> {
  const programs = await ensureServers([name]);
  const folder = await mkdtemp(join(tmpdir(), `dirmfa-${name}-`));
  const { certPem, keyPem } = options.certificate;
  await Promise.all([
    writeFile(join(folder, "fullchain.pem"), certPem),
    writeFile(join(folder, "key.pem"), keyPem, { mode: 0o600 }),
    writeFile(join(folder, "fullchain-and-key.pem"), certPem + keyPem, { mode: 0o600 }),
  ]);
  /** A file of the example, with this machine's ports and paths in place of an installation's. */
  const place = async (file: string, edit: (text: string) => string = (text) => text) => {
    const text = (await readFile(join(example, file), "utf8"))
      .replaceAll("127.0.0.1:8421", `127.0.0.1:${options.loginServicePort}`)
      .replaceAll("127.0.0.1:8080", `127.0.0.1:${options.applicationPort}`)
      .replaceAll(/\/etc\/(ssl\/example|apache2|haproxy)\//g, `${folder}/`);
    await writeFile(join(folder, file), edit(text));
  };
  const command = await arrange[name]({ folder, place, port: options.port });
  const [first, ...rest] = endingWithParent([programs[command[0]] ?? command[0], ...command.slice(1)]);
  const child = spawn(first, rest, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
  });
  let said = "";
  for (const output of [child.stdout, child.stderr])
    output.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000);
    });
  const stop = async () => {
    child.kill("SIGTERM");
    await endOf(child);
    await rm(folder, { recursive: true, force: true });
  };
  for (let tries = 200; !(await accepts(options.port)); tries -= 1) {
    if (child.exitCode !== null || tries === 0) {
      await stop();
      throw new Error(`${name} did not start: ${said}`);
    }
    await sleep(100);
  }
  return { stop };
}

interface Place {
  folder: string;
  port: number;
  place(file: string, edit?: (text: string) => string): Promise<void>;
}

/** Writes the files; returns the command. */
const arrange: Record<ProxyName, (place: Place) => Promise<[string, ...string[]]>> = {
  async nginx({ folder, port, place }) {
    await place("nginx.conf", (text) => text.replaceAll("listen 443 ssl", `listen 127.0.0.1:${port} ssl`));
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
      .join(" ");
    const around = `daemon off; pid ${folder}/pid; error_log stderr; events {}
      http { access_log off; ${temporary} include ${folder}/nginx.conf; }`;
    await writeFile(join(folder, "main.conf"), around);
    return ["nginx", "-p", folder, "-c", join(folder, "main.conf"), "-e", "stderr"];
  },
  async apache({ folder, port, place }) {
    await place("apache.conf", (text) => text.replaceAll("*:443", `127.0.0.1:${port}`));
    await place("apache-ask.lua");
    const modules = ["mpm_event", "authz_core", "lua", "proxy", "proxy_http", "ssl"];
    const around = `ServerRoot ${folder}
DefaultRuntimeDir ${folder}
PidFile ${folder}/pid
ErrorLog ${folder}/error.log
Listen 127.0.0.1:${port} https
User nobody
Group nogroup
ServerName example.org
${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n")}
Include ${folder}/apache.conf
`;
    await writeFile(join(folder, "main.conf"), around);
    await chmod(folder, 0o755); // its workers are another user
    return ["apache2", "-X", "-f", join(folder, "main.conf")];
  },
  async caddy({ folder, port, place }) {
    await place("Caddyfile", (text) => {
      const sites = text.replaceAll(
        /^(\w+\.example\.org) \{$/gm,
        `$1:${port} {\n\tbind 127.0.0.1\n\ttls ${folder}/fullchain.pem ${folder}/key.pem`,
      );
      return `{\n\tadmin off\n\tauto_https off\n}\n${sites}`;
    });
    return ["caddy", "run", "--adapter", "caddyfile", "--config", join(folder, "Caddyfile")];
  },
  async haproxy({ folder, port, place }) {
    await place("haproxy.cfg", (text) => text.replace("bind :443", `bind 127.0.0.1:${port}`));
    await place("haproxy-ask.lua");
    return ["haproxy", "-db", "-f", join(folder, "haproxy.cfg")];
  },
};
