// Reads the configuration file and the files it names, and gives the Config or one error that lists every problem. The
// environment is passed in by the command line; nothing else of dirmfa looks at either.

import { isUtf8 } from "node:buffer";
import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { AppError } from "../errors.ts";
import { buildConfig } from "./build-config.ts";
import type { Config } from "./config.ts";
import { parseConfig } from "./parse-config.ts";
import { type Position, type Problem, showProblem, sortProblems } from "./problems.ts";
import { readFailure, readFileUpTo, readReferencedFile } from "./referenced-file.ts";
import { maxConfigBytes } from "./yaml-source.ts";

// Nobody reads on after this many; the first ones are often the cause of the rest.
const maxShownProblems = 100;

/**
 * The configuration in the file at `path`, with secrets read and references replaced from `env`. Throws an AppError
 * `invalid-config` whose message has a line `path:line:column: what` for every problem there is.
 */
export async function loadConfig(path: string, env: NodeJS.ProcessEnv): Promise<Config> {
  const absolute = resolve(path);
  const text = await readConfigText(path);
  const { file, ...parsed } = parseConfig({ text, path: absolute, env });
  const contents = new Map<string, string>();
  const problems = [...parsed.problems];
  const warnings = [...parsed.warnings, ...(await permissionWarnings(absolute))];
  for (const reference of parsed.fileReferences) {
    const read = await readReferencedFile(reference);
    problems.push(...read.problems);
    warnings.push(...read.warnings);
    if (read.content !== undefined) contents.set(reference.key, read.content);
  }
  if (file === undefined || problems.length > 0) throw invalidConfig(path, sortProblems(problems));
  const shownWarnings = sortProblems(warnings).map((warning) => showProblem(path, warning));
  return buildConfig({ path: absolute, file, contents, warnings: shownWarnings });
}

async function readConfigText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  if (bytes.length > maxConfigBytes) {
    throw invalidConfig(path, [
      { line: 1, column: 1, what: "the file is larger than 1 MiB; this is no configuration" },
    ]);
  }
  if (isUtf8(bytes)) return bytes.toString("utf8");
  throw invalidConfig(path, [
    { ...firstBadByte(bytes), what: "the file is not UTF-8 from here on; save it as UTF-8" },
  ]);
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFileUpTo(path, maxConfigBytes + 1);
  } catch (cause) {
    throw new AppError("invalid-config", `${path}: cannot be read: ${readFailure(cause)}`, {
      remedy: "Give the configuration file with --config; config/example.yaml is one to start from.",
      cause,
    });
  }
}

// Permission bits: others may write; and in a folder, others may replace only what is theirs.
const writableForAll = 0o002;
const sticky = 0o1000;

/** Who can change the configuration decides who may sign in. It holds no secret, so that others may read it is no risk. */
async function permissionWarnings(path: string): Promise<Problem[]> {
  const [file, folder] = await Promise.all([stat(path), stat(dirname(path))]);
  const tell = (what: string) => [{ line: 1, column: 1, what }];
  if (file.mode & writableForAll) {
    return tell("everyone on this machine can change this file, and so who may sign in; chmod 600 ends that");
  }
  if (folder.mode & writableForAll && !(folder.mode & sticky)) {
    return tell("everyone on this machine can put another file in this one's place; chmod 700 its folder");
  }
  return [];
}

/** The line and byte that are no UTF-8. A line break is never part of a longer sequence, so lines can be looked at alone. */
function firstBadByte(bytes: Buffer): Position {
  const lines = bytes.toString("latin1").split("\n");
  const index = lines.findIndex((line) => !isUtf8(Buffer.from(line, "latin1")));
  const line = Buffer.from(lines[index] ?? "", "latin1");
  let column = 1;
  while (column < line.length && isUtf8(line.subarray(0, column))) column += 1;
  return { line: index + 1, column };
}

function invalidConfig(path: string, problems: Problem[]): AppError {
  const lines = problems.slice(0, maxShownProblems).map((problem) => showProblem(path, problem));
  if (problems.length > lines.length) lines.push(`and ${problems.length - lines.length} more problems`);
  return new AppError("invalid-config", lines.join("\n"), {
    remedy: `Correct ${problems.length === 1 ? "this" : `these ${problems.length} problems`} and start again; config/example.yaml shows every key.`,
    fields: { problems: problems.length },
  });
}
