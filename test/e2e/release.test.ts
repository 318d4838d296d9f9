// The program as it is released: built, and run on the embedded database, so that each of its threads has to be found.

import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { buildProgram } from "../../scripts/build.ts";
import { type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import { people } from "../support/sync-world.ts";

// Each command opens the embedded database anew.
vi.setConfig({ testTimeout: 90_000 });

let folder: string;
let slapd: Slapd;
let installation: Installation;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dirmfa-release-"));
  await symlink(resolve(import.meta.dirname, "../../node_modules"), join(folder, "node_modules"));
  await buildProgram(join(folder, "dist"));
  slapd = await startSlapd({ ldif: people(30) });
  installation = await createInstallation({
    slapd,
    program: join(folder, "dist/main.js"),
  });
});
afterAll(async () => {
  await installation.remove();
  await slapd.stop();
  await rm(folder, { recursive: true });
});

test("commands create a database and import a directory", async () => {
  for (const command of [["migrate"], ["key", "generate"]])
    expect(await installation.run(...command)).toMatchObject({ code: 0, stderr: "" });
  expect(await installation.run("sync")).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("30 listed, 30 added"),
    stderr: "",
  });
  expect((await installation.json("user", "list")).users).toHaveLength(30);
});

test("the daemon answers, and ends when it is told", async () => {
  const daemon = await installation.serve();
  expect((await fetch(`${daemon.address}/readyz`)).status).toBe(200);
  const ended = new Promise((resolve) => daemon.process.once("exit", resolve));
  daemon.process.kill("SIGTERM");
  expect(await ended).toBe(0);
});
