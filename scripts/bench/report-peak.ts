// Preloaded into a measured process (`node --import`): writes the peak of its resident memory, in bytes, to PEAK_FILE as it
// ends. Counts the threads of the process, not child processes. Not what Node tells of resources, in which Linux counts the peak of the process that
// started this one as well.

import { readFileSync, writeFileSync } from "node:fs";

process.on("exit", () => {
  const file = process.env.PEAK_FILE;
  if (file === undefined) return;
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  writeFileSync(file, String(Number(kibibytes) * 1024));
});
