// What a measurement was taken on: processor, memory, and the versions of the programs that were run.

import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";

/** One line that says on what something was measured. `programs`: paths by name. */
export function machineOf(programs: Record<string, string>): string {
  const version = (name: string, pattern: RegExp, ...args: string[]) => {
    const said = execFileSync(programs[name] ?? name, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    return pattern.exec(said)?.[1] ?? "unknown";
  };
  return [
    `${cpus().length} × ${cpus()[0]?.model.trim() ?? "unknown CPU"}`,
    `${Math.round(totalmem() / 1024 ** 3)} GiB`,
    `Node ${process.versions.node}`,
    `PostgreSQL ${version("postgres", /([\d.]+)/, "--version")}`,
    `OpenLDAP ${slapdVersion(programs)}`,
  ].join(", ");
}

// slapd prints its version to standard error, and -VV ends it after that.
function slapdVersion(programs: Record<string, string>): string {
  const said = execFileSync("sh", ["-c", '"$0" -VV 2>&1 || true', programs.slapd ?? "slapd"], {
    encoding: "utf8",
  });
  return /slapd ([\d.]+)/.exec(said)?.[1] ?? "unknown";
}
