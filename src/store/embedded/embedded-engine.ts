// PGlite, Postgres compiled to WebAssembly: its files in a folder, and its one session. Its statements are synchronous.

import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { encodeStartup } from "./wire-messages.ts";

/** One Postgres session that takes protocol messages and answers when it is through with them. */
export interface Engine {
  /** The reply to a startup packet, from "authentication ok" to the first ReadyForQuery. */
  greeting: Buffer;
  /** Rejects only when the session is lost. */
  run(messages: Buffer): Promise<Buffer>;
}

// A quarter of the default: 96 MiB less memory, which is filled at every start. Holds the working set of some 20,000 users.
const settings = ["-c", "shared_buffers=32MB"];

/**
 * Opens FOLDER/pgdata, creating it where there is none. A kill while PGlite creates leaves a folder that never opens
 * again, so the name appears when it is whole. The caller must own the folder.
 */
export async function openEngineData(folder: string): Promise<PGlite> {
  const whole = join(folder, "pgdata");
  for (const name of await readdir(folder)) {
    if (name.startsWith("pgdata.new-")) await rm(join(folder, name), { recursive: true, force: true });
  }
  const exists = await stat(whole).then(
    () => true,
    () => false,
  );
  if (!exists) {
    const beside = join(folder, `pgdata.new-${process.pid}`);
    await mkdir(beside, { mode: 0o700 });
    await (await PGlite.create(beside)).close();
    await rename(beside, whole);
  }
  return await PGlite.create(whole, { startParams: [...PGlite.defaultStartParams, ...settings] });
}

/** The session, ready for its first statement. */
export async function startEngine(database: PGlite): Promise<Engine> {
  const run = async (messages: Buffer): Promise<Buffer> => {
    const reply: Buffer[] = [];
    await database.execProtocolRawStream(messages, {
      // Files are written as the engine goes; there is nothing to sync.
      syncToFs: false,
      // A view of the engine's memory, hence the copy.
      onRawData: (bytes) => reply.push(Buffer.from(bytes)),
    });
    return Buffer.concat(reply);
  };
  return { greeting: await run(encodeStartup("postgres", "postgres")), run };
}
