// Preloaded into a measured process (`node --import`): writes the peak of its resident memory, in bytes, to PEAK_FILE as it
// ends. Counts the threads of the process, not child processes.

import { writeFileSync } from "node:fs";

process.on("exit", () => {
  const file = process.env.PEAK_FILE;
  if (file !== undefined) writeFileSync(file, String(process.resourceUsage().maxRSS * 1024)); // maxRSS is in KiB
});
