// A server that has lost data for good: it was restored from a backup, or rebuilt without one of the servers that took writes.
// Until a person accepts that, its listings count as older copies and remove nobody (rule 4).

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { ServerIdentity } from "../directory/listing-page.ts";
import { changesLost } from "../directory/server-state.ts";
import { AppError } from "../errors.ts";
import { acceptCopy, copyOf, getDirectoryMemory } from "./directories-table.ts";
import { holdDirectories } from "./hold-directory.ts";
import { forgetMarks } from "./marks-table.ts";
import type { DirectoriesDeps } from "./rename-directory.ts";
import { findLastServer } from "./sync-runs-table.ts";

export interface AcceptServerAnswer {
  server: ServerIdentity;
  /** What the accepted copy does not have, one sentence each. */
  lost: string[];
}

/**
 * Accepts the copy that the last run listed as the present one. Throws AppError `invalid-usage` when it is not an older copy:
 * then there is nothing to accept.
 */
export async function acceptServer(
  deps: Pick<DirectoriesDeps, "db" | "holder">,
  input: { name: string; actor: Actor },
): Promise<AcceptServerAnswer> {
  const { name, actor } = input;
  return holdDirectories(deps, [name], async (trx) => {
    const memory = await getDirectoryMemory(trx, name);
    const server = await findLastServer(trx, name);
    if (server === undefined || copyOf(memory, server) !== "older") {
      throw new AppError("invalid-usage", `The last listing of ${name} was not of an older copy.`, {
        remedy:
          "There is nothing to accept: `dirmfa run list` shows the runs, and `run show` what each has to say.",
      });
    }
    const lost = changesLost(memory.serverState, server.state);
    await acceptCopy(trx, name, server);
    await forgetMarks(trx, [name]);
    await recordAuditEvent(trx, {
      actor,
      action: "directory-accept-server",
      directory: name,
      outcome: "done",
      details: {
        serverBefore: memory.serverIdentity,
        stateBefore: memory.serverState,
        server: server.identity,
        state: server.state,
      },
    });
    return { server, lost };
  });
}
