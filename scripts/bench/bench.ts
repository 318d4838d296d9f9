// What a row of the bench is given and what it answers. A new row is one file that exports a BenchRow, and one line in
// main.ts.

export interface Bench {
  /** Users in the directory for the rows that are about a large one. */
  users: number;
  rounds: number;
  /** The larger of the two directories whose peaks are compared. */
  memoryUsers: number;
  /** Folder for CPU profiles of the measured processes, when they are asked for. */
  profileFolder: string | undefined;
  /** Paths of the programs that are run, by name. */
  programs: Record<string, string>;
  /** An empty folder on disk, removed at the end. */
  folder: string;
  /** Aborted by Ctrl-C: the running program is ended, and the row throws. */
  signal: AbortSignal;
  /** A line for the person who waits. */
  say(text: string): void;
}

export interface BenchRow {
  /** For `--only`. */
  name: string;
  /** Several results where one scene serves for several rows of the table. */
  run(bench: Bench): Promise<BenchResult[]>;
}

export interface BenchResult {
  work: string;
  /** Shown as they are; numbers with their unit. */
  measured: string;
  floor: string;
  ratio: string;
  target: string;
  met: boolean;
  notes: string[];
  /** Every single measurement, for `--json`. */
  samples: Record<string, number[]>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The mean, not the median: a rate over some seconds is the mean of the rates in each. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Milliseconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/**
 * A result that compares two series of milliseconds, one of each a round; met when work takes at most `target` times its
 * floor. The ratio is the median of the rounds' own ratios: other work on the machine slows both sides of one round.
 */
export function compareTimes(
  work: string,
  target: number,
  samples: { work: number[]; floor: number[] },
  notes: string[] = [],
): BenchResult {
  const ratio = median(samples.work.map((ms, round) => ms / (samples.floor[round] ?? Number.NaN)));
  return {
    work,
    measured: seconds(median(samples.work)),
    floor: seconds(median(samples.floor)),
    ratio: `${ratio.toFixed(2)} ×`,
    target: `≤ ${target} ×`,
    met: ratio <= target,
    notes,
    samples: { workMs: samples.work, floorMs: samples.floor },
  };
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
}

export function thousands(count: number): string {
  return count.toLocaleString("en-US");
}
