// A private LemonLDAP::NG 2.16: its portal and its handler in the FastCGI server that Debian ships, behind an nginx with Debian's own
// site of the portal, with the example's second factor (examples/lemonldap-ng). Own folder, own loopback port, nothing of the system.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerCertificate } from "./certificates.ts";
import { endingWithParent } from "./end-with-parent.ts";
import { ensureServers } from "./install-servers.ts";
import { type LemonldapSettings, lemonldapConfiguration, lemonldapIni } from "./lemonldap-configuration.ts";
import { accepts } from "./ports.ts";
import { endOf } from "./slapd-process.ts";

export interface LemonldapOptions extends LemonldapSettings {
  certificate: ServerCertificate;
  /** Of http://127.0.0.1: the application that the handler protects. */
  applicationPort: number;
}

export interface Lemonldap {
  /** What portal and handler said, for a test that has to explain itself. */
  log(): string;
  stop(): Promise<void>;
}

/** Resolves when portal and handler answer. Throws with their own words when they do not. */
export async function startLemonldap(options: LemonldapOptions): Promise<Lemonldap> {
  const programs = await ensureServers(["lemonldap", "nginx"]);
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-lemonldap-"));
  await arrange(folder, options);
  const asRoot = process.getuid?.() === 0;
  let said = "";
  const children: ChildProcess[] = [];
  const start = (command: [string, ...string[]], before: string[] = []) => {
    const [first = "", ...rest] = [...before, ...endingWithParent(command)];
    const env = {
      ...process.env,
      LLNG_DEFAULTCONFFILE: join(folder, "lemonldap-ng.ini"),
      LLNG_DEFAULTLOGGER: "Lemonldap::NG::Common::Logger::Std",
    };
    const child = spawn(first, rest, { stdio: ["ignore", "pipe", "pipe"], env });
    for (const output of [child.stdout, child.stderr])
      output.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
    children.push(child);
    return child;
  };
  const stop = async () => {
    for (const child of children.reverse()) {
      child.kill("SIGTERM");
      await endOf(child);
    }
    await rm(folder, { recursive: true, force: true });
  };
  const socket = join(folder, "run/llng.sock");
  // It refuses to run as root. Not by its own option: whoever changes user forgets that it is to end with its parent.
  const asUser = ["setpriv", "--reuid", "www-data", "--regid", "www-data", "--clear-groups"];
  const llng = start(
    [
      programs["llng-fastcgi-server"] ?? "llng-fastcgi-server",
      "--foreground",
      ...["-s", socket, "-p", join(folder, "run/pid"), "-n", "2"],
    ],
    asRoot ? asUser : [],
  );
  const nginx = start([
    programs.nginx ?? "nginx",
    ...["-p", folder, "-c", join(folder, "nginx.conf"), "-e", "stderr"],
  ]);
  // Perl compiles the handler first: some seconds, on a busy machine more.
  for (let tries = 600; !(existsSync(socket) && (await accepts(options.port))); tries -= 1) {
    if (llng.exitCode !== null || nginx.exitCode !== null || tries === 0) {
      await stop();
      throw new Error(`LemonLDAP::NG did not start: ${said.slice(-4_000)}`);
    }
    await sleep(100);
  }
  // Without a module of Perl that it wants it starts all the same, and each page says "Server error".
  const status = await statusOfPortal(options.port);
  if (status !== 200) {
    await stop();
    throw new Error(`LemonLDAP::NG's portal answers ${status}: ${said.slice(0, 4_000)}`);
  }
  return { log: () => said, stop };
}

async function statusOfPortal(port: number): Promise<number | undefined> {
  const headers = { host: "auth.example.org", accept: "text/html" };
  const asked = get({ host: "127.0.0.1", port, path: "/", headers, rejectUnauthorized: false });
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

async function arrange(folder: string, options: LemonldapOptions): Promise<void> {
  const { certificate, port, applicationPort } = options;
  await Promise.all([
    writeFile(join(folder, "fullchain.pem"), certificate.certPem),
    writeFile(join(folder, "key.pem"), certificate.keyPem, { mode: 0o600 }),
    writeFile(join(folder, "lemonldap-ng.ini"), lemonldapIni(folder)),
    writeFile(join(folder, "nginx.conf"), await nginxConfiguration(folder, { port, applicationPort })),
  ]);
  const folders = ["conf", "sessions/lock", "psessions/lock", "cache", "run"].map((name) =>
    join(folder, name),
  );
  for (const path of folders) await mkdir(path, { recursive: true });
  const configuration = JSON.stringify(await lemonldapConfiguration(folder, options));
  await writeFile(join(folder, "conf/lmConf-1.json"), configuration);
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await wwwData();
  for (const path of [folder, ...folders, join(folder, "sessions"), join(folder, "psessions")])
    await chown(path, uid, gid);
}

async function wwwData(): Promise<{ uid: number; gid: number }> {
  const [, uid, gid] = /^www-data:[^:]*:(\d+):(\d+):/m.exec(await readFile("/etc/passwd", "utf8")) ?? [];
  if (uid === undefined || gid === undefined) throw new Error("this system has no user www-data");
  return { uid: Number(uid), gid: Number(gid) };
}

const portalSite = "/etc/lemonldap-ng/portal-nginx.conf";

async function nginxConfiguration(
  folder: string,
  { port, applicationPort }: { port: number; applicationPort: number },
): Promise<string> {
  const socket = `unix:${folder}/run/llng.sock`;
  const tls = `listen 127.0.0.1:${port} ssl; ssl_certificate ${folder}/fullchain.pem; ssl_certificate_key ${folder}/key.pem;`;
  const portal = (await readFile(portalSite, "utf8"))
    .replaceAll(/unix:[^;]*llng-fastcgi\.sock/g, socket)
    .replace("listen 80;", tls)
    .replace("listen [::]:80;", "")
    .replace("auth.example.com", "auth.example.org");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join(" ");
  return `
daemon off;
${process.getuid?.() === 0 ? "user www-data;" : ""}
worker_processes 1;
pid ${folder}/nginx.pid;
events {}
http {
  access_log off;
  include /etc/nginx/mime.types;
  ${temporary}
  ${portal}
  server {
    ${tls}
    server_name wiki.example.org;
    location = /lmauth {
      internal;
      include /etc/nginx/fastcgi_params;
      fastcgi_pass ${socket};
      fastcgi_pass_request_body off;
      fastcgi_param CONTENT_LENGTH "";
      fastcgi_param HOST $host;
      fastcgi_param X_ORIGINAL_URI $original_uri;
    }
    location / {
      auth_request /lmauth;
      set $original_uri $uri$is_args$args;
      auth_request_set $remote_user_of_portal $upstream_http_lm_remote_user;
      auth_request_set $portal_location $upstream_http_location;
      error_page 401 $portal_location;
      proxy_set_header Remote-User $remote_user_of_portal;
      proxy_pass http://127.0.0.1:${applicationPort};
    }
  }
}
`;
}
