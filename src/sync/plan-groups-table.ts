// The part of the plan that concerns groups: who is in which group once the run is applied, nested groups resolved.
// Written as differences to the stored memberships, so that a run in which nothing moves writes nothing.

import type { Transaction } from "../store/database.ts";
import { isFresher, isListedUnchanged, type PlanRun, unplacedUsers } from "./plan-table.ts";

/**
 * A condition on groups `g`: the listing names it unchanged, or an unusable entry may be it, which takes it from nobody
 * (rule 8). For statements with the bindings of a PlanRun. Lists that depend on nothing outside are hashed once; as `exists`
 * they would be planned from statistics, which a large first import leaves behind, and be read again for every group.
 */
export const groupStays = `(
  ${isListedUnchanged("g.id", "groups")}
  or g.directory_id in (
    select k.directory_id from sync_skips k where k.run_id = :id and k.of_groups and k.directory_id is not null)
  or g.dn_key in (
    select k.dn_key from sync_skips k
    where k.run_id = :id and k.of_groups and k.directory_id is null and k.dn_key is not null)
)`;

/** The same for groups that are new in the listing, or differ from the stored ones. */
export const groupIsStaged =
  "g.directory_id in (select s.directory_id from staged_groups s where s.run_id = :id)";

/**
 * Whether any group came, changed or went, or any user is in the plan whose memberships could differ: one who comes or
 * goes, or by whose name, DN or primary group a group may know the user, or whose keys are made otherwise now. One who was read on demand is in groups that the
 * stored lists of members need not name.
 */
export async function groupsMayDiffer(trx: Transaction, run: PlanRun): Promise<boolean> {
  const { rows } = await trx.raw<{ rows: { differ: boolean }[] }>(
    `select exists (select from staged_groups where run_id = :id)
       or exists (select from groups where directory = :directory) and (
         exists (select from users where directory = :directory and refreshed_at is not null)
         or exists (
           select from sync_changes where run_id = :id and (action in ('add', 'restore', 'remove')
             or reasons && array['username-changed', 'moved', 'primary-group-changed', 'mapping-changed']))
         or exists (
           select from groups g where g.directory = :directory and not ${groupStays} and not ${groupIsStaged})
       ) as differ`,
    { ...run },
  );
  return rows[0]?.differ ?? false;
}

/** What a listing may do to memberships; see `Copy`. */
export type MembershipChanges = "all" | "joins" | "of-new-users";

/**
 * Stages the memberships that begin (joins) and end. A group contains the users it lists and, when `nested`, those of
 * the groups it lists, at any depth; `union` makes a cycle of groups end. Users whose place the listing does not tell join
 * groups that list them, and leave none that is still there: `endsLeft` tells that one would have. Users who were
 * read on demand since the run began keep the groups of that reading, leave those that are gone, and join those that are new. With
 * `joins` and `of-new-users` all stored groups stay, with what they list, and no membership ends; with the latter nobody but the users
 * whom the plan adds gets into them. Looks at the users whose directory ids are in `only`, or at all where it is undefined.
 */
export async function planMemberships(
  trx: Transaction,
  run: PlanRun,
  { nested, changes, only }: { nested: boolean; changes: MembershipChanges; only: string[] | undefined },
): Promise<{ endsLeft: boolean }> {
  const isLookedAt = (directoryId: string) =>
    only === undefined ? "true" : `${directoryId} in (select directory_id from looked_at)`;
  const { rows } = await trx.raw<{ rows: { left: boolean }[] }>(
    `with recursive looked_at as materialized (
       select unnest(:only::text[]) collate "C" as directory_id
     ), kept as materialized (
       select g.id, g.directory_id, g.dn_key from groups g
       where g.directory = :directory
         and (:keepsAll or ${groupStays} and not ${groupIsStaged})
     ), listed as materialized (
       select directory_id, dn_key from kept
       union all
       select directory_id, dn_key from staged_groups where run_id = :id
     ), edge as (
       select g.directory_id as container, m.member_key from groups g join group_members m on m.group_id = g.id
       where g.directory = :directory and g.directory_id in (select directory_id from listed)
         and not exists (
           select from staged_group_members s
           where s.run_id = :id and not s.joins and not :keepsAll
             and s.group_directory_id = g.directory_id and s.member_key = m.member_key)
       union all
       select group_directory_id, member_key from staged_group_members where run_id = :id and joins
     ), final_user as materialized (
       select directory_id, dn_key, username_key, primary_group_key from staged_entries
       where run_id = :id and ${isLookedAt("directory_id")}
       union all
       select u.directory_id, u.dn_key, u.username_key, u.primary_group_key from users u
       where u.directory = :directory and u.state <> 'removed' and ${isLookedAt("u.directory_id")}
         and not exists (select from staged_entries s where s.run_id = :id and s.directory_id = u.directory_id)
         and not exists (
           select from sync_changes c where c.run_id = :id and c.directory_id = u.directory_id and c.action = 'remove')
     ), known_as as (
       select false as is_group, directory_id, 'dn:' || dn_key as member_key from final_user
       union all
       select false, directory_id, 'uid:' || username_key from final_user
       union all
       select false, directory_id, primary_group_key from final_user where primary_group_key is not null
       union all
       select true, directory_id, 'dn:' || dn_key from listed where :nested
     ), met as materialized ( -- users and groups at once: one pass over the edges
       select known_as.is_group, known_as.directory_id, edge.container
       from edge join known_as on known_as.member_key = edge.member_key
     ), direct as materialized (
       select distinct directory_id, container from met where not is_group
     ), parent as materialized (
       select directory_id as child, container from met where is_group
     ), ancestor as (
       select directory_id as child, directory_id as container from listed
       where directory_id in (select container from direct)
       union
       select ancestor.child, parent.container from ancestor join parent on parent.child = ancestor.container
     ), wanted as (
       select distinct direct.directory_id, ancestor.container
       from direct join ancestor on ancestor.child = direct.container
     ), stored as (
       select u.directory_id, g.directory_id as container
       from user_groups ug join users u on u.id = ug.user_id join groups g on g.id = ug.group_id
       where u.directory = :directory and ${isLookedAt("u.directory_id")}
     ), fresher as materialized (
       select u.directory_id from users u where u.directory = :directory and ${isFresher}
     ), begun as (
       select * from wanted except select * from stored
     ), ended as (
       select directory_id, container, directory_id in (${unplacedUsers}) and container in (select directory_id from listed) as is_left
       from (select * from stored except select * from wanted) gone
       where not :keepsAll
         and not (container in (select directory_id from listed) and directory_id in (select directory_id from fresher))
     ), written as (
       insert into staged_memberships (run_id, directory_id, group_directory_id, joins)
       select :id::uuid, directory_id, container, true from begun
       where (not :onlyOfNewUsers or directory_id in (
         select c.directory_id from sync_changes c where c.run_id = :id and c.action = 'add'))
         and not (
           directory_id in (select directory_id from fresher)
           and container in (select directory_id from groups where directory = :directory))
       union all
       select :id::uuid, directory_id, container, false from ended where not is_left
     )
     select exists (select from ended where is_left) as left`,
    {
      ...run,
      nested,
      only: only ?? null,
      keepsAll: changes !== "all",
      onlyOfNewUsers: changes === "of-new-users",
    },
  );
  return { endsLeft: rows[0]?.left ?? false };
}

/** Adds `groups-changed`, with the names of the groups, to the plan of every user that stays and whose groups differ. */
export async function planGroupReasons(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `insert into sync_changes (run_id, directory_id, user_id, action, username, dn, reasons, before, after)
     select :id::uuid, m.directory_id, u.id, 'change', u.username, u.dn, array['groups-changed'],
       jsonb_build_object('groupsLeft', coalesce(jsonb_agg(g.name order by g.name) filter (where not m.joins), '[]')),
       jsonb_build_object('groupsJoined', coalesce(jsonb_agg(g.name order by g.name) filter (where m.joins), '[]'))
     from staged_memberships m
     join users u on u.directory = :directory and u.directory_id = m.directory_id
     join (
       select directory_id, name from staged_groups where run_id = :id
       union all
       select stored.directory_id, stored.name from groups stored where stored.directory = :directory
         and not exists (
           select from staged_groups s where s.run_id = :id and s.directory_id = stored.directory_id)
     ) g on g.directory_id = m.group_directory_id
     where m.run_id = :id
       and not exists (select from sync_changes c
         where c.run_id = :id and c.directory_id = m.directory_id and c.action in ('add', 'remove'))
     group by m.directory_id, u.id, u.username, u.dn
     on conflict (run_id, directory_id) do update set
       reasons = sync_changes.reasons || excluded.reasons,
       before = coalesce(sync_changes.before, '{}') || excluded.before,
       after = coalesce(sync_changes.after, '{}') || excluded.after`,
    { ...run },
  );
}
