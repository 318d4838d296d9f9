// The edges that come and go with a listing, and which users they concern (rule 28). An edge is "this group lists this member key".
// Writes nothing.

import type { Transaction } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";
import { groupIsStaged, groupStays } from "./plan-groups-table.ts";
import type { PlanRun } from "./plan-table.ts";

// Where a group of either side stands, by the directory id.
const places = `
  select directory_id, dn_key from groups where directory = :directory
  union
  select directory_id, dn_key from staged_groups where run_id = :id`;

/**
 * The directory ids of all users whose memberships can differ from the stored ones once the plan is applied, provided that the
 * stored ones follow from the stored users and groups: users on an edge that comes or goes; when `nested`, users below a group
 * that begins or ceases to be listed by another one; users who come, go, or whose DN, name or primary group differs; and those who
 * were read on demand, of whom the stored lists need not tell. Undefined for more than `most`.
 */
export async function findConcernedUsers(
  trx: Transaction,
  run: PlanRun,
  { nested, most }: { nested: boolean; most: number },
): Promise<string[] | undefined> {
  // What nested groups need is a pass over all edges: `exists (select from regrouped)` spares it where they are nested as before.
  const rows = await rawRows<{ directory_id: string }>(
    trx,
    `with recursive changed_edge as materialized (
       select m.group_directory_id as container, m.member_key from staged_group_members m where m.run_id = :id
       union all
       select g.directory_id, m.member_key from groups g join group_members m on m.group_id = g.id
       where g.directory = :directory and not ${groupIsStaged} and not ${groupStays}
     ), place as materialized (${places}
     ), regrouped as (
       select place.directory_id from changed_edge e join place on e.member_key = 'dn:' || place.dn_key where :nested
       union
       select s.directory_id from staged_groups s
       left join groups g on g.directory = :directory and g.directory_id = s.directory_id
       where s.run_id = :id and g.dn_key is distinct from s.dn_key and :nested
     ), staged_link as materialized (
       select m.group_directory_id as container, place.directory_id as child
       from staged_group_members m join place on m.member_key = 'dn:' || place.dn_key
       where m.run_id = :id and exists (select from regrouped)
     ), stored_link as materialized (
       select g.directory_id as container, place.directory_id as child
       from groups g join group_members m on m.group_id = g.id join place on m.member_key = 'dn:' || place.dn_key
       where g.directory = :directory and exists (select from regrouped)
     ), link as (
       select * from staged_link union select * from stored_link
     ), below as (
       select directory_id from regrouped
       union
       select link.child from below join link on link.container = below.directory_id
     ), key as materialized (
       select member_key from changed_edge
       union
       select m.member_key from below
       join groups g on g.directory = :directory and g.directory_id = below.directory_id
       join group_members m on m.group_id = g.id
       where exists (select from regrouped)
       union
       select m.member_key from below
       join staged_group_members m on m.run_id = :id and m.group_directory_id = below.directory_id
       where exists (select from regrouped)
     )
     select u.directory_id from users u
     where u.directory = :directory and u.state <> 'removed'
       and u.dn_key in (select substr(key.member_key, 4) from key where key.member_key like 'dn:%')
     union
     select u.directory_id from users u
     where u.directory = :directory and u.state <> 'removed'
       and u.username_key in (select substr(key.member_key, 5) from key where key.member_key like 'uid:%')
     union
     select u.directory_id from users u
     where u.directory = :directory and u.state <> 'removed' and u.primary_group_key in (
         select key.member_key from key where key.member_key not like 'dn:%' and key.member_key not like 'uid:%')
     union
     select s.directory_id from staged_entries s
     where s.run_id = :id and not exists (
       select from users u
       where u.directory = :directory and u.directory_id = s.directory_id and u.state <> 'removed' and u.dn_key = s.dn_key
         and u.username_key = s.username_key and u.primary_group_key is not distinct from s.primary_group_key)
     union
     select c.directory_id from sync_changes c where c.run_id = :id and c.action in ('add', 'restore', 'remove')
     union
     select u.directory_id from users u where u.directory = :directory and u.refreshed_at is not null
     limit :most + 1`,
    { ...run, nested, most },
  );
  return rows.length > most ? undefined : rows.map(({ directory_id }) => directory_id);
}
