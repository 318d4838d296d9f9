// A process for tests: opens the embedded database of a folder as told, and says on standard output what happened.
//
//   node embedded-client.ts FOLDER owner|guest insert    says how many rows it finds; adds the next ones until it is
//                                                      killed, and says each once it is committed
//   node embedded-client.ts FOLDER owner|guest count     says how many rows there are, and ends
//   node embedded-client.ts FOLDER owner|guest hold      says "open", and ends when its standard input does

import { pino } from "pino";
import { errorCodeOf } from "../../../src/errors.ts";
import { type Database, openDatabase } from "../../../src/store/database.ts";

const [folder = "", role, act] = process.argv.slice(2);

try {
  const options = { owner: role === "owner", log: pino({ level: "silent" }) };
  const { db, close } = await openDatabase({ kind: "embedded", folder }, options);
  await db.raw("create table if not exists kept (n integer primary key)");
  if (act === "insert") {
    const found = await count(db);
    process.stdout.write(`found ${found}\n`);
    for (let n = found + 1; ; n++) {
      await db.raw("insert into kept values (?)", [n]);
      process.stdout.write(`${n}\n`);
    }
  }
  if (act === "count") process.stdout.write(`${await count(db)}\n`);
  if (act === "hold") {
    process.stdout.write("open\n");
    for await (const _ of process.stdin);
  }
  await close();
} catch (error) {
  process.stdout.write(
    `${errorCodeOf(error) ?? "error"}: ${error instanceof Error ? error.message : String(error)}\n`,
  );
}

async function count(db: Database): Promise<number> {
  const result = await db.raw<{ rows: { count: number }[] }>("select count(*)::integer as count from kept");
  return result.rows[0]?.count ?? 0;
}
