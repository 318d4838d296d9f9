// The one statement that gives users other directory ids (rule 1), and what it is planned from.

import type { Actor } from "../audit/audit-events-table.ts";
import type { Transaction } from "../store/database.ts";
import type { Rekeyed, StoredUser } from "./plan-rekey.ts";

export async function listRekeyCandidates(trx: Transaction, directory: string): Promise<StoredUser[]> {
  return trx("users")
    .select({
      userId: "id",
      directoryId: "directory_id",
      username: "username",
      usernameKey: "username_key",
      email: "email",
      removed: trx.raw("state = 'removed'"),
    })
    .where({ directory })
    .orderBy("id");
}

/** Returns how many users have got their new ids; each is an audit event. All else that they have stays. */
export async function rekeyUsers(
  trx: Transaction,
  input: { directory: string; rekeyed: readonly Rekeyed[]; actor: Actor },
): Promise<number> {
  const { directory, rekeyed, actor } = input;
  const { rowCount } = await trx.raw<{ rowCount: number }>(
    `with rekeyed as (
       update users u set directory_id = n.new_id, changed_at = now()
       from unnest(:userIds::uuid[], :oldIds::text[], :newIds::text[]) n (id, old_id, new_id)
       where u.id = n.id and u.directory = :directory and u.directory_id = n.old_id and u.state <> 'removed'
       returning u.id, u.username, n.old_id, n.new_id
     )
     insert into audit_events (actor, via, request_id, action, user_id, directory, outcome, details)
     select :name, :via, :requestId::text, 'user-rekey', id, :directory, 'done',
       jsonb_build_object('username', username, 'directoryIdBefore', old_id, 'directoryId', new_id)
     from rekeyed`,
    {
      directory,
      userIds: rekeyed.map(({ userId }) => userId),
      oldIds: rekeyed.map(({ oldId }) => oldId),
      newIds: rekeyed.map(({ newId }) => newId),
      name: actor.name,
      via: actor.via,
      requestId: actor.requestId ?? null,
    },
  );
  return rowCount;
}
