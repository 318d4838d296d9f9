// A start as an admin and a service manager meet it: keys, what `check` says before, what is told when it is ready or fails.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { createCertificateAuthority } from "../../scripts/servers/certificates.ts";
import { runCommand } from "../support/command.ts";
import { createTestDatabase } from "../support/databases.ts";
import { createInstallation, type Installation } from "../support/installation.ts";

let installation: Installation;
let drop: () => Promise<void>;
beforeEach(async () => {
  const created = await createTestDatabase();
  drop = created.drop;
  installation = await createInstallation({
    slapd: undefined,
    database: created.config,
    config: { keys: { folder: "keys" }, directories: [] },
  });
});
afterEach(async () => {
  await installation.remove();
  await drop();
});

const dirmfa = (...args: string[]) => runCommand("--config", installation.configPath, ...args);

test("a second key is not made by accident: the first is not in use yet, or is, and then there is a third", async () => {
  expect((await dirmfa("key", "generate")).code).toBe(0);
  const again = await dirmfa("key", "generate");
  expect(again.code).toBe(2);
  expect(again.stderr).toContain("has a key already that is not in use yet");
  await dirmfa("audit", "verify"); // the first command that needs the key begins to use it
  expect((await dirmfa("key", "generate")).code).toBe(0);
  expect((await dirmfa("key", "generate")).code).toBe(2);
});

test("check and the start say the same of a new database with two keys, and the remedy that they give helps", async () => {
  await dirmfa("key", "generate");
  await dirmfa("key", "generate", "--another");
  const checked = await dirmfa("check");
  expect(checked.stdout).toMatch(/^failed +keys: There are several sealing keys .*\(key-missing\)$/m);
  expect(checked.code).toBe(1);
  const [, id = ""] = /`dirmfa key rotate --to (\S+)`/.exec(checked.stdout) ?? [];
  expect((await dirmfa("key", "rotate", "--to", id)).code).toBe(0);
  const mended = await dirmfa("check");
  expect(mended.stdout).toMatch(new RegExp(`^ok +keys: ${id} seals new secrets; not in use yet: `, "m"));
  expect(mended.code).toBe(0);
});

test("check leaves everything as it was: no key is chosen, and no embedded database made", async () => {
  await dirmfa("key", "generate");
  expect((await dirmfa("check")).code).toBe(0);
  const { stdout } = await dirmfa("key", "status", "--json");
  expect(JSON.parse(stdout).keys).toMatchObject([{ state: "unused" }]);
  const embedded = await createInstallation({ slapd: undefined, config: { directories: [] } });
  const checked = await runCommand("--config", embedded.configPath, "check");
  expect(checked.stdout).toMatch(/^failed +database: There is no embedded database in .*data yet/m);
  expect((await runCommand("--config", embedded.configPath, "check")).stdout).toBe(checked.stdout);
  await embedded.remove();
});

test("check warns of a configuration or a key that others can change, and of a certificate that ends", async () => {
  await dirmfa("key", "generate");
  const { keys } = JSON.parse((await dirmfa("key", "status", "--json")).stdout);
  await chmod(join(installation.folder, "keys", `${keys[0].id}.key`), 0o640);
  await chmod(installation.configPath, 0o666);
  const { stdout, code } = await dirmfa("check");
  expect(stdout).toMatch(/^warning .*everyone on this machine can change this file/m);
  expect(stdout).toMatch(/^warning +keys: .*\.key can be read or changed by other users/m);
  expect(code).toBe(0);
});

test("check warns of a folder in which others can put another configuration", async () => {
  const look = async (mode: number) => {
    await chmod(installation.folder, mode);
    return (await dirmfa("check")).stdout;
  };
  const warning = /^warning .*everyone on this machine can put another file in this one's place/m;
  expect(await look(0o777)).toMatch(warning);
  expect(await look(0o1777)).not.toMatch(warning); // as /tmp: others replace only what is theirs
});

test("check tells a running console from another program on its port", async () => {
  await dirmfa("key", "generate");
  const config = parse(await readFile(installation.configPath, "utf8"));
  const withConsole = { ...config, console: { listen: "unix:console.sock" } };
  await writeFile(installation.configPath, JSON.stringify(withConsole), { mode: 0o600 });
  await installation.serve();
  expect((await dirmfa("check")).stdout).toMatch(
    /^ok +console\.listen: dirmfa is running at unix:\S+console\.sock$/m,
  );
});

test("check and health tell a running daemon from another program on its port", async () => {
  await dirmfa("key", "generate");
  const { address, process: daemon } = await installation.serve();
  const config = JSON.stringify({ http: { listen: new URL(address).host }, directories: [] });
  await writeFile(join(installation.folder, "same.yaml"), config, { mode: 0o600 });
  const { stdout } = await runCommand("--config", join(installation.folder, "same.yaml"), "check");
  expect(stdout).toMatch(/^ok +http\.listen: dirmfa is running at 127\.0\.0\.1:\d+$/m);
  const health = () => runCommand("--config", join(installation.folder, "same.yaml"), "health");
  expect(await health()).toMatchObject({ code: 0 });
  daemon.kill("SIGTERM");
  await once(daemon, "exit");
  expect(await health()).toMatchObject({ code: 1 });
});

test("health finds a daemon that listens with TLS, whatever names are in its certificate", async () => {
  await dirmfa("key", "generate");
  const { certPem, keyPem } = createCertificateAuthority().issue({ names: ["mfa.example.org"] });
  const [certFile, keyFile] = [join(installation.folder, "mfa.pem"), join(installation.folder, "mfa.key")];
  await writeFile(certFile, certPem);
  await writeFile(keyFile, keyPem, { mode: 0o600 });
  const config = parse(await readFile(installation.configPath, "utf8"));
  const write = (listen: string) =>
    writeFile(
      installation.configPath,
      JSON.stringify({ ...config, http: { listen, tls: { certFile, keyFile } } }),
    );
  await write("127.0.0.1:0");
  const { address, process: daemon } = await installation.serve();
  expect(address).toMatch(/^https:/);
  await write(new URL(address).host);
  expect(await dirmfa("health")).toMatchObject({ code: 0 });
  daemon.kill("SIGTERM");
  await once(daemon, "exit");
  expect(await dirmfa("health")).toMatchObject({ code: 1 });
});

// The other end of systemd's socket: prints each message as one line of JSON. Node has no datagram sockets of this kind.
const receiver = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("listening", flush=True)
while True:
    message = s.recv(4096).decode()
    if message.startswith("BARRIER"): continue
    print(json.dumps(message.split("\\n")), flush=True)
`;

async function withServiceManager(
  work: (env: NodeJS.ProcessEnv, next: () => Promise<string[]>) => Promise<void>,
) {
  const path = join(installation.folder, "notify");
  const python = spawn("python3", ["-c", receiver, path], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void python.kill()); // also where the test waited in vain for a message
  const lines: string[] = [];
  python.stdout
    .setEncoding("utf8")
    .on("data", (text: string) => lines.push(...text.split("\n").filter(Boolean)));
  const next = async () => {
    while (lines.length === 0) await once(python.stdout, "data");
    return lines.shift() ?? "";
  };
  await next();
  try {
    await work({ ...process.env, NOTIFY_SOCKET: path }, async () => JSON.parse(await next()));
  } finally {
    python.kill();
    await once(python, "exit");
  }
}

test("the service manager is told when the daemon is ready, and when it stops", async () => {
  await dirmfa("key", "generate");
  await withServiceManager(async (env, next) => {
    const main = join(import.meta.dirname, "../../src/main.ts");
    const daemon = spawn(process.execPath, [main, "--config", installation.configPath, "serve"], {
      env,
      stdio: "ignore",
    });
    expect(await next()).toEqual(["READY=1", expect.stringMatching(/^STATUS=Listening on http:\/\/127/)]);
    daemon.kill("SIGTERM");
    expect(await next()).toEqual(["STOPPING=1", "STATUS=Stopping"]);
    expect(await once(daemon, "exit")).toEqual([0, null]);
  });
});

test("a start that fails tells the service manager why, and by its exit code whether to try again", async () => {
  await withServiceManager(async (env, next) => {
    const main = join(import.meta.dirname, "../../src/main.ts");
    const daemon = spawn(process.execPath, [main, "--config", installation.configPath, "serve"], {
      env,
      stdio: "ignore",
    });
    expect(await next()).toEqual([
      expect.stringMatching(/^STATUS=There is no sealing key in .*Run `dirmfa key generate`/),
    ]);
    expect(await once(daemon, "exit")).toEqual([2, null]);
  });
});
