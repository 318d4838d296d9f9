// `dirmfa/client` as another project has it: the built package, found by its name, without what dirmfa itself needs to run.

import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildProgram, buildTypes } from "../../scripts/build.ts";

const run = promisify(execFile);
const repository = resolve(import.meta.dirname, "../..");
const tsc = join(repository, "node_modules/.bin/tsc");

let project: string;
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "dirmfa-package-"));
  const dirmfa = join(project, "node_modules/dirmfa");
  await mkdir(dirmfa, { recursive: true });
  await copyFile(join(repository, "package.json"), join(dirmfa, "package.json"));
  await buildProgram(join(dirmfa, "dist"));
  await buildTypes(join(dirmfa, "dist/types"));
});
afterAll(() => rm(project, { recursive: true }));

test("the client runs with nothing else installed", async () => {
  const program = `
    import { createClient, DirmfaClientError } from "dirmfa/client";
    const client = createClient({ baseUrl: "http://127.0.0.1:1", token: "token" });
    const answer = await client.signIn({ username: "ada" }).catch((error) => error);
    console.log(answer instanceof DirmfaClientError, answer.code);`;
  await writeFile(join(project, "sign-in.mjs"), program);
  const { stdout } = await run(process.execPath, ["sign-in.mjs"], { cwd: project });
  expect(stdout).toBe("true network\n");
});

test("the example login service starts beside it, copied as its README says", async () => {
  const folder = join(project, "login-service");
  await cp(join(repository, "examples/login-service"), folder, { recursive: true });
  await copyFile(join(repository, "src/pages/html.ts"), join(folder, "html.ts"));
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".ts")) continue;
    const text = await readFile(join(folder, name), "utf8");
    const copied = text
      .replaceAll("../../src/client/client.ts", "dirmfa/client")
      .replaceAll("../../src/pages/html.ts", "./html.ts");
    await writeFile(join(folder, name), copied);
  }
  for (const name of ["fastify", "ldapts"])
    await symlink(join(repository, "node_modules", name), join(project, "node_modules", name));
  await writeFile(join(project, "package.json"), '{"type": "module"}');
  const { stderr } = await run(process.execPath, ["login-service/main.ts"], { cwd: project, env: {} }).catch(
    (error) => error,
  );
  expect(stderr).toBe("Set LDAP_URL; README.md has an example.\n");
});

test("its types are those of the API's schemas", async () => {
  const program = `
    import { type BackupCodes, createClient, type SignIn } from "dirmfa/client";
    const client = createClient({ baseUrl: "http://127.0.0.1:1", token: "token" });
    const { decision, enrollment }: SignIn = await client.signIn({ username: "ada", directory: "main" });
    const words: "allow" | "challenge" | "enroll" | "deny" = decision;
    const mayDefer: boolean | undefined = enrollment?.mayDefer;
    const codes: BackupCodes = await client.confirmEnrollment({ username: "ada", totp: "123456" });
    // @ts-expect-error: neither code
    await client.verify({ username: "ada" });
    // @ts-expect-error: no such decision
    if (decision === "allowed") console.log(words, mayDefer, codes.backupCodes.length);
    `;
  await writeFile(join(project, "types.mts"), program);
  // What npm installs beside dirmfa (fastify is there), and what node's own types are in.
  for (const name of ["typebox", "@types"])
    await symlink(join(repository, "node_modules", name), join(project, "node_modules", name));
  const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "esnext", "--types", "node"];
  const { stdout } = await run(tsc, [...options, "types.mts"], { cwd: project }).catch((error) => error);
  expect(stdout).toBe("");
});
