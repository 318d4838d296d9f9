// `npm run build`: the release, in dist/. The program's own modules come in a few files, since at a start each file costs
// time; packages stay where npm puts them.
//
//   dist/main.js                       the program
//   dist/list-directory-in-worker.js   threads of it
//   dist/embedded-worker.js
//   dist/client.js                     dirmfa/client
//   dist/types/                        declarations, for users of dirmfa/client

import { execFile } from "node:child_process";
import { chmod, copyFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { rolldown } from "rolldown";

const project = resolve(import.meta.dirname, "..");

// Threads are found beside the module that starts them: all files lie in one folder.
const entries = {
  main: "src/main.ts",
  "list-directory-in-worker": "src/directory/list-directory-in-worker.ts",
  "read-user-in-worker": "src/directory/read-user-in-worker.ts",
  "embedded-worker": "src/store/embedded/embedded-worker.ts",
  client: "src/client/client.ts",
};

// Three hundred small files, a fifth of the start of `dirmfa serve`.
const inlined = ["typebox"];

/** Writes the program to `folder`, which is emptied before. Further entries, as `name: source file`, come beside it. */
export async function buildProgram(folder: string, more: Record<string, string> = {}): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const bundle = await rolldown({
    cwd: project,
    input: { ...entries, ...more },
    platform: "node",
    external: (id) => !(/^[./]/.test(id) || inlined.includes(id)),
  });
  await bundle.write({ dir: folder, format: "esm", sourcemap: true, chunkFileNames: "[name].js" });
  await bundle.close();
  await chmod(join(folder, "main.js"), 0o755);
  for (const name of inlined) {
    await copyFile(join(project, "node_modules", name, "license"), join(folder, `LICENSE.${name}`));
  }
}

/** Writes the declarations to `folder`. */
export async function buildTypes(folder: string): Promise<void> {
  const tsc = join(project, "node_modules/.bin/tsc");
  await promisify(execFile)(tsc, ["-p", "tsconfig.build.json", "--outDir", folder], { cwd: project });
}

if (import.meta.main) {
  await buildProgram(join(project, "dist"));
  await buildTypes(join(project, "dist/types"));
}
