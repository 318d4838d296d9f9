// Where the event stream goes: a file, standard output, or a receiver with HTTPS. Resolves only when the lines are there.

import { open } from "node:fs/promises";
import type { AuditStreamConfig } from "../config/config.ts";
import { postTo } from "../post.ts";

// Longer, and the receiver is away.
const timeoutMs = 15_000;

export async function writeLines(config: AuditStreamConfig, lines: string): Promise<void> {
  const { target } = config;
  if (target.kind === "stdout") return writeOut(lines);
  if (target.kind === "file") return appendTo(target.path, lines);
  const headers = {
    "content-type": "application/x-ndjson",
    ...(target.tokenSecret === undefined ? {} : { authorization: `Bearer ${target.tokenSecret}` }),
  };
  const status = await postTo({ ...target, method: "POST", headers, body: lines, timeoutMs });
  if (status < 200 || status > 299)
    throw new Error(`the receiver of the event stream answers with status ${status}`);
}

function writeOut(lines: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  process.stdout.write(lines, (error) => (error ? reject(error) : resolve()));
  return promise;
}

/** Opened for each batch, so that the file may be rotated away at any moment. On the disk before it counts as written. */
async function appendTo(path: string, lines: string): Promise<void> {
  const file = await open(path, "a+", 0o640);
  try {
    await file.appendFile(`${(await endsInLine(file)) ? "" : "\n"}${lines}`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** False after a process that died in the middle of a line; its events come again. */
async function endsInLine(file: Awaited<ReturnType<typeof open>>): Promise<boolean> {
  const { size } = await file.stat();
  if (size === 0) return true;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer.toString("latin1") === "\n";
}
