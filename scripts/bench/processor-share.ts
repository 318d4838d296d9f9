// Processes that get a part of a core only, as on small machines of their own, by the control groups of Linux's kernel:
// https://docs.kernel.org/admin-guide/cgroup-v2.html ("cpu.max") and https://docs.kernel.org/scheduler/sched-bwc.html (version 1).

import { access, mkdir, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

// Short, so that a process that has used its part waits for milliseconds.
const periodUs = 10_000;

export interface ProcessorShare {
  /** Limits this process and all its threads. */
  limit(pid: number): Promise<void>;
  /** After the process has ended. */
  remove(): Promise<void>;
}

/** `share` of one core; undefined where the system has no such groups, or this user may not make one. */
export async function openProcessorShare(name: string, share: number): Promise<ProcessorShare | undefined> {
  const quotaUs = Math.round(share * periodUs);
  const versions = [
    { parent: "/sys/fs/cgroup", limits: { "cpu.max": `${quotaUs} ${periodUs}` } },
    { parent: "/sys/fs/cgroup/cpu", limits: { "cpu.cfs_period_us": periodUs, "cpu.cfs_quota_us": quotaUs } },
  ];
  for (const { parent, limits } of versions) {
    const folder = join(parent, name);
    try {
      await access(join(parent, "cgroup.procs"));
      await mkdir(folder);
    } catch {
      continue;
    }
    const remove = () => rmdir(folder);
    try {
      for (const [file, value] of Object.entries(limits)) await writeFile(join(folder, file), `${value}`);
    } catch {
      await remove();
      continue;
    }
    return { limit: (pid) => writeFile(join(folder, "cgroup.procs"), `${pid}`), remove };
  }
  return undefined;
}
