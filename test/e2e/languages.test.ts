// The sign-in examples in other languages, each compiled and run as its readers would, against dirmfa and against servers that
// answer anything else: only 200 with the right answer lets in.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureServers } from "../../scripts/servers/install-servers.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { tokens } from "../support/http-server.ts";

const examples = resolve(import.meta.dirname, "../../examples/languages");
let world: ApiWorld;
let folder: string;
let tokenFile: string;
const commands: Record<string, string[]> = {};
beforeAll(async () => {
  world = await openApiWorld();
  await world.replica({ requireForDirectories: ["north"] });
  folder = await mkdtemp(join(tmpdir(), "dirmfa-languages-"));
  tokenFile = join(folder, "token");
  await writeFile(tokenFile, `${tokens.login}\n`, { mode: 0o600 });
  const programs = await ensureServers(["python3", "php", "go", "java"]);
  const run = promisify(execFile);
  const goCache = { ...process.env, GOCACHE: join(folder, "go-cache"), GOFLAGS: "-mod=mod" };
  await run(programs.go ?? "go", ["build", "-o", join(folder, "sign_in"), join(examples, "sign_in.go")], {
    env: goCache,
  });
  await run(programs.javac ?? "javac", ["-d", folder, join(examples, "SignIn.java")]);
  commands.python = [programs.python3 ?? "python3", join(examples, "sign_in.py")];
  commands.php = [programs.php ?? "php", join(examples, "sign_in.php")];
  commands.go = [join(folder, "sign_in")];
  commands.java = [programs.java ?? "java", "-XX:TieredStopAtLevel=1", "-cp", folder, "SignIn"];
}, 300_000);
afterAll(async () => {
  await world?.close();
  await rm(folder, { recursive: true, force: true });
});

function signIn(language: string, username: string, typed = "", url = world.url): Promise<string> {
  const [program = "", ...args] = commands[language] ?? [];
  const env = { ...process.env, DIRMFA_URL: url, DIRMFA_TOKEN_FILE: tokenFile };
  return new Promise((resolve) => {
    // It ends with 1 for a refusal.
    const child = execFile(program, [...args, username], { env, timeout: 30_000 }, (_error, printed) =>
      resolve(printed.trim()),
    );
    child.stdin?.on("error", () => {});
    child.stdin?.end(`${typed}\n`);
  });
}

describe.each(["python", "php", "go", "java"])("in %s", (language) => {
  test("a user signs in with a code once, with a backup code, and not with a wrong one", async () => {
    const user = await world.addEnrolledUser(`zoë "quotes" \\ ${language}`);
    const name = user.username;
    expect(await signIn(language, name, world.wrongCodeOf(user))).toBe("refused");
    const code = world.codeOf(user);
    expect(await signIn(language, name, `${code.slice(0, 3)} ${code.slice(3)}`)).toBe("signed in");
    expect(await signIn(language, name, code)).toBe("refused");
    expect(await signIn(language, name, user.backupCodes[0])).toBe("signed in");
  });

  test("a user of whom nothing is asked signs in; one who is unknown, disabled, locked or must enroll does not", async () => {
    const user = await world.addUser();
    expect(await signIn(language, user.username)).toBe("signed in");
    const mustEnroll = await world.addUser({ directory: "north" });
    expect(await signIn(language, mustEnroll.username)).toBe("refused");
    const grace = { required_since: new Date(), enrollment_deadline: new Date("2100-01-01T00:00:00Z") };
    await world.database.db("users").where({ id: mustEnroll.id }).update(grace);
    expect(await signIn(language, mustEnroll.username)).toBe("signed in");
    const isOver = { required_since: new Date(0), enrollment_deadline: new Date("2020-01-01T00:00:00Z") };
    await world.database.db("users").where({ id: mustEnroll.id }).update(isOver);
    expect(await signIn(language, mustEnroll.username)).toBe("refused");
    expect(await signIn(language, "nobody", "123456")).toBe("refused");
    const disabled = await world.addUser({ state: "disabled" });
    expect(await signIn(language, disabled.username, "123456")).toBe("refused");
    const locked = await world.addEnrolledUser();
    for (let failure = 0; failure < 5; failure += 1) await world.verify(locked, world.wrongCodeOf(locked));
    expect(await signIn(language, locked.username, world.codeOf(locked))).toBe("refused");
  });

  test("whatever else answers, nobody gets in", async () => {
    const answers: [number, string][] = [
      [200, "no JSON"],
      [200, "[]"],
      [200, '"allow"'],
      [200, '{"decision":"deny"}'],
      [201, '{"decision":"allow"}'],
      [204, ""],
      [302, '{"decision":"allow"}'],
      [500, '{"decision":"allow"}'],
      [503, '{"decision":"allow"}'],
    ];
    let [status, body] = answers[0] ?? [500, ""];
    const other = createServer((request, response) => {
      request.resume();
      if (request.url === "/elsewhere") return void response.end('{"decision":"allow"}');
      response.writeHead(status, { location: "/elsewhere", "content-type": "application/json" }).end(body);
    });
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    for ([status, body] of answers) {
      expect([status, body, await signIn(language, "amal", "123456", url)]).toEqual([
        status,
        body,
        "refused",
      ]);
    }
    other.close();
    expect(await signIn(language, "amal", "123456", "http://127.0.0.1:1")).toBe("refused");
  });
});
