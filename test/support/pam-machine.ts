// A machine with the example's PAM configuration, as far as login programs can see: a separate mount namespace whose /etc/pam.d,
// /etc/passwd, /etc/shadow and RADIUS secret are the test's, and nothing of the system changes. Needs root, as sshd does.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { endingWithParent } from "../../scripts/servers/end-with-parent.ts";
import { radiusSecret } from "../../scripts/servers/freeradius.ts";
import { ensureServers } from "../../scripts/servers/install-servers.ts";
import { accepts, freePort } from "../../scripts/servers/ports.ts";
import { endOf } from "../../scripts/servers/slapd-process.ts";

export interface PamMachine {
  /** ssh to the machine's own sshd; answers each prompt with the next text. True when a command ran there. */
  ssh(username: string, answers: readonly string[]): Promise<boolean>;
  /** sudo by that user, with the answers on standard input. True when the command ran. */
  sudo(username: string, answers: readonly string[]): Promise<boolean>;
  stop(): Promise<void>;
}

const example = resolve(import.meta.dirname, "../../examples/pam");

/** `usernames` get accounts without a password in its own passwd file; all may use sudo. */
export async function startPamMachine(radiusPort: number, usernames: readonly string[]): Promise<PamMachine> {
  const programs = await ensureServers(["openssh", "sudo", "pam-radius"]);
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-pam-"));
  const etc = (name: string) => join(folder, name);
  await mkdir(etc("pam.d"));
  for (const service of ["sshd", "sudo"]) await cp(join(example, service), etc(`pam.d/${service}`));
  const radius = await readFile(join(example, "pam_radius_auth.conf"), "utf8");
  await writeFile(
    etc("pam_radius_auth.conf"),
    radius
      .replace("127.0.0.1:1812", `127.0.0.1:${radiusPort}`)
      .replace("the-secret-of-this-client-in-clients.conf 10", `${radiusSecret} 2`), // a server on this machine answers in less
    { mode: 0o600 },
  );
  const accounts = usernames.map((name, index) => `${name}:x:${60_000 + index}:60000::/tmp:/bin/sh\n`);
  await writeFile(etc("passwd"), (await readFile("/etc/passwd", "utf8")) + accounts.join(""));
  const shadows = usernames.map((name) => `${name}:*:20000:0:99999:7:::\n`);
  await writeFile(etc("shadow"), (await readFile("/etc/shadow", "utf8")) + shadows.join(""), { mode: 0o600 });
  await writeFile(etc("sudoers"), `${usernames.map((name) => `${name} ALL=(ALL) ALL`).join("\n")}\n`, {
    mode: 0o440,
  });
  const mounts = ["pam.d", "passwd", "shadow", "sudoers", "pam_radius_auth.conf"]
    .map((name) => `mount --bind ${etc(name)} /etc/${name}`)
    .join(" && ");
  const inside = (script: string): [string, ...string[]] => [
    "unshare",
    "-m",
    "sh",
    "-ec",
    `${mounts}; ${script}`,
  ];

  const port = await freePort();
  await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", etc("host_key")]);
  const dirmfaConfig = await readFile(join(example, "sshd_config.d-dirmfa.conf"), "utf8");
  await writeFile(
    etc("sshd_config"),
    `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${etc("host_key")}\nPidFile none\n${dirmfaConfig}`,
  );
  const serve = `mkdir -p /run/sshd; exec ${programs.sshd ?? "/usr/sbin/sshd"} -D -e -f ${etc("sshd_config")}`;
  const [command, ...rest] = endingWithParent(inside(serve));
  const sshd = spawn(command, rest, { stdio: "ignore" });
  for (let tries = 100; !(await accepts(port)); tries -= 1) {
    if (tries === 0 || sshd.exitCode !== null) throw new Error("sshd did not start");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }

  // Answers come from a file of each ssh, one line a prompt, taken by a program that it asks for them.
  const askpass = etc("askpass");
  await writeFile(askpass, '#!/bin/sh\nhead -n 1 "$ANSWERS"\nsed -i 1d "$ANSWERS"\n', { mode: 0o755 });
  let calls = 0;

  return {
    async ssh(username, answers) {
      calls += 1;
      const answersFile = etc(`answers-${calls}`);
      await writeFile(answersFile, `${answers.join("\n")}\n`);
      const options = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "NumberOfPasswordPrompts=1",
      ];
      const printed = await run(
        [
          "ssh",
          "-p",
          String(port),
          ...options.flatMap((option) => ["-o", option]),
          `${username}@127.0.0.1`,
          "echo inside",
        ],
        {
          ...process.env,
          ANSWERS: answersFile,
          ...{ SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: "force", DISPLAY: ":0" },
        },
      );
      return printed.includes("inside");
    },
    async sudo(username, answers) {
      const uid = 60_000 + usernames.indexOf(username);
      const asUser = `exec setpriv --reuid ${uid} --regid 60000 --clear-groups sudo -S -k -p '' echo inside`;
      const printed = await run(inside(asUser), process.env, `${answers.join("\n")}\n`);
      return printed.includes("inside");
    },
    async stop() {
      sshd.kill("SIGTERM");
      await endOf(sshd);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function run(command: [string, ...string[]], env = process.env, input = ""): Promise<string> {
  const [program, ...args] = command;
  let printed = "";
  // A refusal ends it with another code than 0; what it printed says which.
  const child = execFile(program, args, { env, timeout: 50_000 });
  child.stdout?.on("data", (text: string) => {
    printed += text;
  });
  child.stdin?.on("error", () => {}); // it may end before it has read everything
  child.stdin?.end(input);
  await once(child, "close");
  return printed;
}
