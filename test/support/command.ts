// The command line run inside the test's own process: the same code as the program, without the start of node.

import { Writable } from "node:stream";
import { runCommandLine } from "../../src/cli/command-line.ts";

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export async function runCommand(...args: string[]): Promise<Ran> {
  return runCommandIn({}, ...args);
}

/** The same with these environment variables, and no others. */
export async function runCommandIn(env: NodeJS.ProcessEnv, ...args: string[]): Promise<Ran> {
  const stdout = collector();
  const stderr = collector();
  const code = await runCommandLine(args, { stdout: stdout.stream, stderr: stderr.stream, env });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

function collector() {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}
