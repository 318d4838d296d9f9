#!/usr/bin/env node
// The program: arguments in, exit code out. The only file that acts when it is imported.

import { runCommandLine } from "./cli/command-line.ts";

process.exitCode = await runCommandLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
});
