#!/usr/bin/env -S node --max-semi-space-size=16
// The program: arguments in, exit code out. The only file that acts when it is imported. Its first line keeps the young
// heap at 16 MiB: left alone it grows to 128 MiB in a large import, and stays.

import { runCommandLine } from "./cli/command-line.ts";

// Whoever reads may have read enough, as `head` has: that is the end of the work, not a failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});

process.exitCode = await runCommandLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
});
