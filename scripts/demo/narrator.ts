// Tells what the daemon's log says about sync runs, one line a run that did something. Reads pino's JSON lines; whatever
// else the log holds stays in the log.

import { type DemoPlace, folderAsTyped } from "./folder.ts";

/** Returns a function that takes the log as it comes, in pieces of any size. */
export function createNarrator(place: DemoPlace, say: (text: string) => void): (piece: string) => void {
  let rest = "";
  let last = "";
  return (piece) => {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const told = tell(place, line);
      // A held run is held again every 20 seconds; once is enough, until something else happens.
      if (told === undefined || told.key === last) continue;
      last = told.key;
      if (told.text !== "") say(`${new Date().toTimeString().slice(0, 8)}  ${told.text}`);
    }
  };
}

interface RunLine {
  msg?: unknown;
  runId?: unknown;
  status?: unknown;
  added?: unknown;
  changed?: unknown;
  restored?: unknown;
  disabled?: unknown;
  removed?: unknown;
}

function tell(place: DemoPlace, line: string): { key: string; text: string } | undefined {
  const run = parse(line);
  if (run?.msg !== "sync run finished") return undefined;
  const counts = (["added", "changed", "restored", "disabled", "removed"] as const)
    .filter((name) => typeof run[name] === "number" && run[name] > 0)
    .map((name) => `${run[name]} ${name}`)
    .join(", ");
  if (run.status === "succeeded") return { key: counts === "" ? "" : line, text: counts };
  if (run.status !== "held") return { key: String(run.status), text: `a run ${run.status}; see daemon.log` };
  return {
    key: `held ${counts}`,
    text: `held, nothing changed; the plan: ${counts}. Carry it out with ${folderAsTyped(place)}/dirmfa run approve ${run.runId}`,
  };
}

function parse(line: string): RunLine | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
