// pgbench as a floor: the statements that a flow of dirmfa sends, caught on their way and sent again with the same parameters
// and by the same protocol, so that what differs is all that is not PostgreSQL.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Database } from "../../src/store/database.ts";
import { type Bench, mean } from "./bench.ts";

interface Statement {
  sql: string;
  bindings: readonly unknown[];
}

/** The statements that `flow` sends through `db`. */
export async function catchStatements(db: Database, flow: () => Promise<unknown>): Promise<Statement[]> {
  const sent: Statement[] = [];
  const note = ({ sql, bindings }: Statement) => sent.push({ sql, bindings });
  db.on("query", note);
  await flow();
  db.off("query", note);
  return sent;
}

export interface Script {
  /** Values of variables before each client's first transaction; they keep what a transaction sets. */
  variables: Record<string, number>;
  /** Meta commands before the statements. */
  begin: string[];
  statements: readonly Statement[];
  /** What differs from one transaction to the next: the value that was caught, and the SQL that takes its place. */
  varying: ReadonlyMap<unknown, string>;
}

/** The username of the user whose number is in the variable `number`; pgbench itself knows no text. */
export const numberedUsername = "('u' || lpad((:number)::text, 7, '0'))";

/**
 * Transactions a second of `clients` clients, over `seconds` after `settleSeconds` in which they are not counted yet. A failed
 * transaction throws.
 */
export async function pgbenchRate(
  bench: Bench,
  url: string,
  script: Script,
  load: { clients: number; settleSeconds: number; seconds: number },
): Promise<number> {
  const path = join(bench.folder, "pgbench.sql");
  const { text, constants } = renderScript(script);
  await writeFile(path, text);
  const args = [
    ...["-n", "-M", "extended"], // as pg sends a statement: with parameters, parsed every time
    ...["-c", String(load.clients), "-T", String(load.settleSeconds + load.seconds)],
    ...["-P", "1"], // a line with the rate of each second
    ...["-j", "2"], // one thread is enough for some ten thousand transactions a second, two for any floor
    ...Object.entries(script.variables).flatMap(([name, value]) => ["-D", `${name}=${value}`]),
    ...constants.flatMap((value, index) => ["-D", `constant_${index}=${value}`]),
    ...["-f", path, url],
  ];
  const child = spawn(bench.programs.pgbench ?? "pgbench", args, {
    stdio: ["ignore", "ignore", "pipe"],
    signal: bench.signal,
  });
  let printed = "";
  child.stderr.on("data", (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const [code] = await once(child, "close");
  const rates = [...printed.matchAll(/^progress: ([\d.]+) s, ([\d.]+) tps/gm)]
    .filter(([, second]) => Number(second) > load.settleSeconds + 0.5) // the second is a little more or less than whole
    .map(([, , rate]) => Number(rate));
  if (code !== 0 || rates.length === 0) throw new Error(`pgbench ended with ${code}: ${printed}`);
  return mean(rates);
}

/** Constants are parameters too, as the daemon sends them; only null has to stand in the statement. */
function renderScript(script: Script): { text: string; constants: string[] } {
  const constants: string[] = [];
  const parameterOf = (value: unknown) => {
    if (value === null) return "null::text";
    const varying = script.varying.get(value);
    if (varying !== undefined) return varying;
    constants.push(String(value));
    return `:constant_${constants.length - 1}`;
  };
  const statements = script.statements.map(({ sql, bindings }) => {
    const bound = sql.replace(/\$(\d+)/g, (_, number) => parameterOf(bindings[Number(number) - 1]));
    // Each answer is read into variables, so that one statement can use what another found.
    return `${bound.replaceAll("\n", " ").trim()} \\gset`;
  });
  return { text: `${[...script.begin, ...statements].join("\n")}\n`, constants };
}
