// `npm run build`: the release, in dist/. The program comes in a few files with the packages in them, since at a start each file
// costs time: there were some 560 of them (decision 0027).
//
//   dist/main.js                       the program, with a file for each command
//   dist/list-directory-in-worker.js   threads of it
//   dist/embedded-worker.js
//   dist/client.js                     dirmfa/client
//   dist/LICENSES.txt                  of the packages that are in these files
//   dist/types/                        declarations, for users of dirmfa/client

import { execFile } from "node:child_process";
import { chmod, readdir, readFile, rm, writeFile } from "node:fs/promises";
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

const leftOut = [
  /^node:/,
  // Finds its WebAssembly beside itself, in node_modules.
  /^@electric-sql\/pglite/,
  // pg asks for it only where it is wanted.
  /^pg-native$/,
  // knex's other dialects, which it loads by name: nobody names them.
  /^\.\/(?:better-sqlite3|cockroachdb|mssql|mysql|mariadb|mysql2|oracle|oracledb|pgnative|redshift|sqlite3)$/,
];

/** Writes the program to `folder`, which is emptied before. Further entries, as `name: source file`, come beside it. */
export async function buildProgram(folder: string, more: Record<string, string> = {}): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const bundle = await rolldown({
    cwd: project,
    input: { ...entries, ...more },
    platform: "node",
    external: (id) => leftOut.some((pattern) => pattern.test(id)),
  });
  const { output } = await bundle.write({
    dir: folder,
    format: "esm",
    sourcemap: true,
    // Names stay, for stack traces; comments and white space go.
    minify: { compress: false, mangle: false },
    chunkFileNames: "[name].js",
  });
  await bundle.close();
  await chmod(join(folder, "main.js"), 0o755);
  const modules = output.flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
  await writeFile(join(folder, "LICENSES.txt"), await licensesOf(modules));
}

/** The license texts of the packages that these files belong to. Throws where a package has none. */
async function licensesOf(modules: readonly string[]): Promise<string> {
  const folders = new Set(
    modules
      .map((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0])
      .filter((path) => path !== undefined),
  );
  const texts = [...folders].sort().map(async (path) => {
    const { name, version, license } = JSON.parse(await readFile(join(path, "package.json"), "utf8"));
    const file = (await readdir(path)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? undefined : await readFile(join(path, file), "utf8");
    if (text === undefined && license === undefined) throw new Error(`the package ${name} has no license`);
    return `${name} ${version} (${license})\n\n${text ?? ""}\n`;
  });
  return (await Promise.all(texts)).join(`\n${"-".repeat(80)}\n\n`);
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
