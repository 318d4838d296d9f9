// Clients that two generators make from the API's description: each compiles under strict settings with a program that uses it,
// and that program signs a user in at a real server.

import { execFile } from "node:child_process";
import { access, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, tokens } from "../support/http-server.ts";

const run = promisify(execFile);
/** With versions of their own: the generators need an older TypeScript than dirmfa does. */
const generators = resolve(import.meta.dirname, "generators");
const installed = join(generators, "node_modules");

let world: ApiWorld;
let project: string;
beforeAll(async () => {
  await access(join(installed, ".package-lock.json")).catch(() => run("npm", ["ci"], { cwd: generators }));
  world = await openApiWorld();
  project = await mkdtemp(join(tmpdir(), "dirmfa-generated-"));
  await symlink(installed, join(project, "node_modules"));
  await writeFile(join(project, "package.json"), '{ "type": "module" }');
  await writeFile(join(project, "openapi.json"), (await call(`${world.url}/openapi.json`)).text);
}, 300_000);
afterAll(async () => {
  await world?.close();
  await rm(project, { recursive: true, force: true });
});

const compilerOptions = {
  strict: true,
  noUncheckedIndexedAccess: true,
  module: "esnext",
  moduleResolution: "bundler",
  target: "es2023",
  lib: ["es2023", "dom", "dom.iterable"],
  types: [],
  skipLibCheck: true,
  noEmit: true,
};

/** Compiles the program strictly, and runs it with a user and a code of theirs: what it prints, line by line. */
async function compileAndRun(name: string, program: string): Promise<string[]> {
  const user = await world.addEnrolledUser();
  await writeFile(join(project, `${name}.ts`), program);
  const settings = { compilerOptions, files: [`${name}.ts`] };
  await writeFile(join(project, "tsconfig.json"), JSON.stringify(settings));
  const compiled = await run(join(installed, ".bin/tsc"), [], { cwd: project }).catch((error) => error);
  expect(compiled.stdout).toBe("");
  const bundle = join(project, `${name}.js`);
  const bundled = await rolldown({ input: join(project, `${name}.ts`), logLevel: "silent" });
  await bundled.write({ file: bundle });
  const { stdout } = await run(process.execPath, [
    bundle,
    world.url,
    tokens.login,
    user.username,
    world.codeOf(user),
  ]);
  return stdout.trim().split("\n");
}

// The program reads its arguments without node's types, which a page in a browser has not either.
const argumentsOf = `
  declare const process: { argv: string[] };
  const [, , baseUrl = "", token = "", username = "", totp = ""] = process.argv;`;

const expected = ["challenge totp,backup-code", "verified true", "code-rejected 403 true", "user-unknown"];

test("openapi-typescript with openapi-fetch", { timeout: 180_000 }, async () => {
  await run(join(installed, ".bin/openapi-typescript"), ["openapi.json", "-o", "api.d.ts"], { cwd: project });
  const program = `
    import createClient from "openapi-fetch";
    import type { components, paths } from "./api.d.ts";
    ${argumentsOf}
    type Problem = components["schemas"]["Problem"];
    type User = components["schemas"]["User"];
    const client = createClient<paths>({ baseUrl, headers: { authorization: "Bearer " + token } });
    const { data: signIn } = await client.POST("/v1/sign-in", { body: { username } });
    const decision: "allow" | "challenge" | "enroll" | "deny" | undefined = signIn?.decision;
    console.log(decision, signIn?.methods.join());
    const { data: verified } = await client.POST("/v1/verify", { body: { username, totp } });
    console.log("verified", verified?.verified);
    const again = await client.POST("/v1/verify", { body: { username, totp } });
    if (again.error) {
      const problem: Problem = again.error;
      console.log(again.error.code, problem.status, problem.requestId.length > 0);
    }
    const { error } = await client.POST("/v1/status", { body: { username: "nobody" } });
    console.log(error?.code);
    export const nameOf = (user: User): string | null => user.displayName;
    // Bodies that may be left out.
    export const unlock = (id: string) => client.POST("/v1/admin/users/{id}/unlock", { params: { path: { id } } });
    // @ts-expect-error: no such field
    export const wrong = () => client.POST("/v1/sign-in", { body: { user: username } });
    // @ts-expect-error: no such code
    export const isWrong = (problem: Problem) => problem.code === "no-such-code";`;
  expect(await compileAndRun("fetch-client", program)).toEqual(expected);
});

test("@hey-api/openapi-ts", { timeout: 180_000 }, async () => {
  const to = ["-i", "openapi.json", "-o", "generated", "--no-log-file"];
  await run(join(installed, ".bin/openapi-ts"), to, { cwd: project });
  const program = `
    import { client } from "./generated/client.gen";
    import { postAdminUsersByIdUnlock, postSignIn, postStatus, postVerify } from "./generated/sdk.gen";
    import type { Decision, Problem, User } from "./generated/types.gen";
    ${argumentsOf}
    client.setConfig({ baseUrl, auth: token });
    const { data: signIn } = await postSignIn({ body: { username } });
    const decision: Decision | undefined = signIn?.decision;
    console.log(decision, signIn?.methods.join());
    const { data: verified } = await postVerify({ body: { username, totp } });
    console.log("verified", verified?.verified);
    const again = await postVerify({ body: { username, totp } });
    if (again.error) {
      const problem: Problem = again.error;
      console.log(again.error.code, problem.status, problem.requestId.length > 0);
    }
    const { error } = await postStatus({ body: { username: "nobody" } });
    console.log(error?.code);
    export const nameOf = (user: User): string | null => user.displayName;
    export const unlock = (id: string) => postAdminUsersByIdUnlock({ path: { id } });
    // @ts-expect-error: no such field
    export const wrong = () => postSignIn({ body: { user: username } });
    // @ts-expect-error: no such code
    export const isWrong = (problem: Problem) => problem.code === "no-such-code";`;
  expect(await compileAndRun("hey-client", program)).toEqual(expected);
});
