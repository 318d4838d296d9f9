// What a plan means for MFA requirements: whose would end, whom it would stop at the next sign-in, and which required groups
// are gone or list nobody. Needs the memberships of the plan; reads users, and writes only the plan.

import type { Transaction } from "../store/database.ts";
import type { LostGroup } from "./limits.ts";
import { groupIsStaged, groupStays } from "./plan-groups-table.ts";
import { isFresher, type PlanRun, unplacedUsers } from "./plan-table.ts";

const namedByPolicy = (group: string) =>
  `exists (select from mfa_policy named
     where 'name:' || ${group}.name_key = any(named.group_keys) or 'dn:' || ${group}.dn_key = any(named.group_keys))`;

// Groups of the listing or of the store that are required once the plan is applied. Those that the plan ends have no
// memberships any more.
const requiredGroups = `
  select g.directory_id from groups g where g.directory = :directory and g.required_as <> '{}'
  union
  select s.directory_id from staged_groups s where s.run_id = :id and ${namedByPolicy("s")}`;

/**
 * Adds `requirement-ended` to the plan of every user who leaves the last of the groups for which MFA is required, and of whom
 * nothing else requires it; and of every user who comes back with a requirement for which there is no reason any more: without
 * the group that they had, or under another policy than the one they left under.
 */
export async function planRequirementEnds(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `with leaving as (
       select distinct m.directory_id from staged_memberships m
       join groups g on g.directory = :directory and g.directory_id = m.group_directory_id and g.required_as <> '{}'
       where m.run_id = :id and not m.joins
       union
       select c.directory_id from sync_changes c where c.run_id = :id and c.action = 'restore'
     )
     update sync_changes c set reasons = c.reasons || array['requirement-ended']
     from leaving
     join users u on u.directory = :directory and u.directory_id = leaving.directory_id
     cross join mfa_policy p
     where c.run_id = :id and c.directory_id = leaving.directory_id and c.action <> 'remove'
       and u.required_since is not null
       and not p.organization and not u.directory = any(p.directories)
       and u.required_by_admin is not true and not (u.required_new_user and u.required_by_admin is not false)
       and not exists (
         select from user_groups ug join groups g on g.id = ug.group_id and g.directory_id in (${requiredGroups})
         where ug.user_id = u.id and not exists (
           select from staged_memberships m
           where m.run_id = :id and m.directory_id = u.directory_id and m.group_directory_id = g.directory_id
             and not m.joins))
       and not exists (
         select from staged_memberships m
         where m.run_id = :id and m.directory_id = u.directory_id and m.joins
           and m.group_directory_id in (${requiredGroups}))`,
    { ...run },
  );
}

// A group's own number, by which users name it as their primary group, is no member that it lists.
const namesMember = "(m.member_key like 'dn:%' or m.member_key like 'uid:%')";

// The stored edge `m` is one that the listing does not have any more.
const isDropped = (group: string) => `exists (
  select from staged_group_members gone
  where gone.run_id = :id and not gone.joins and gone.group_directory_id = ${group} and gone.member_key = m.member_key)`;

/** Of a staged group with this directory id: it lists somebody, by an edge that is new or one that stays. */
const listsSomebody = (group: string) => `(
  exists (
    select from staged_group_members m
    where m.run_id = :id and m.joins and m.group_directory_id = ${group} and ${namesMember})
  or exists (
    select from groups known join group_members m on m.group_id = known.id
    where known.directory = :directory and known.directory_id = ${group} and ${namesMember} and not ${isDropped(group)}))`;

const hadSomebody = `exists (select from group_members m where m.group_id = g.id and ${namesMember})`;

/** Of groups `g`: the listing names it, without the members that it had. */
const isEmptied = `${groupIsStaged} and ${hadSomebody} and not ${listsSomebody("g.directory_id")}`;

const isGone = `not ${groupStays} and not ${groupIsStaged}`;

/** Of groups `g` that are gone: another entry is named as the policy names it, and lists somebody, unless `g` listed nobody. */
const isReplaced = `exists (
  select from staged_groups s
  where s.run_id = :id and ('name:' || s.name_key = any(g.required_as) or 'dn:' || s.dn_key = any(g.required_as))
    and (not ${hadSomebody} or ${listsSomebody("s.directory_id")}))`;

/** The groups of users whose requirement the plan ends. */
const groupsOfEnded = `(
  select ug.group_id from sync_changes c join user_groups ug on ug.user_id = c.user_id
  where c.run_id = :id and c.reasons @> array['requirement-ended'])`;

// The groups of required users who keep an outer group in this run, since the listing does not show where they are, or since they were
// read beside it. The next run may take it from them, and knows nothing of an inner group that this one deletes.
const groupsOfUntold = `(
  select ug.group_id from users u join user_groups ug on ug.user_id = u.id
  where u.directory = :directory and u.required_since is not null
    and (u.directory_id in (${unplacedUsers}) or ${isFresher}))`;

/**
 * Groups that were found and are required, and that the listing does not name any more, or names without the members that
 * they had. One that came back as a new entry, under the name or DN that the policy has for it, is not lost as long as none of
 * its members loses the requirement. With `nested` also groups in those, by which a user was required whose requirement the
 * plan ends, or whose groups this listing does not tell.
 */
export async function findLostGroups(
  trx: Transaction,
  run: PlanRun,
  { nested }: { nested: boolean },
): Promise<LostGroup[]> {
  const { rows } = await trx.raw<{ rows: LostGroup[] }>(
    `with recursive required_group as materialized (
       select g.id from groups g where g.directory = :directory and g.required_as <> '{}'
     ), lost as (
       select g.id, g.name, g.dn, false as "isInner",
         case when ${groupIsStaged} then 'empty' when ${isReplaced} then 'replaced' else 'gone' end as how
       from groups g
       where g.id in (select id from required_group)
         and (${isEmptied} or ${isGone} and (not ${isReplaced} or g.id in ${groupsOfEnded}))
     ), inner_gone as materialized ( -- mostly none: then nobody's groups are looked at
       select g.id, g.name, g.dn, true as "isInner", case when ${groupIsStaged} then 'empty' else 'gone' end as how
       from groups g
       where g.directory = :directory and :nested and g.required_as = '{}' and (${isEmptied} or ${isGone})
     ), inner_lost as materialized ( -- few: what follows is a pass over the edges of required groups
       select * from inner_gone where id in ${groupsOfEnded} or id in ${groupsOfUntold}
     ), below as (
       select id from required_group where exists (select from inner_lost)
       union
       select inner_group.id from below join group_members m on m.group_id = below.id
       join groups inner_group on inner_group.directory = :directory and m.member_key = 'dn:' || inner_group.dn_key
     )
     select name, dn, how, "isInner" from lost
     union all
     select name, dn, how, "isInner" from inner_lost where id in (select id from below)
     order by "isInner", name, dn`,
    { ...run, nested },
  );
  return rows;
}

/** Users of whom the plan begins to require MFA and who have no authenticator: in all, and how many by each reason. */
export interface ToEnroll {
  all: number;
  organization: number;
  directory: number;
  newUser: number;
  groups: number;
}

/** Those among them who can sign in; `newUserFlag` as the plan has it. */
export async function countToEnroll(trx: Transaction, run: PlanRun, newUserFlag: boolean): Promise<ToEnroll> {
  const { rows } = await trx.raw<{ rows: ToEnroll[] }>(
    `with joining as (
       select distinct m.directory_id from staged_memberships m
       where m.run_id = :id and m.joins and m.group_directory_id in (${requiredGroups})
     ), candidate as (
       select p.organization, :directory = any(p.directories) as directory,
         c.action = 'add' and :newUserFlag as new_user, joining.directory_id is not null as by_group
       from sync_changes c
       cross join mfa_policy p
       left join users u on u.id = c.user_id
       left join joining on joining.directory_id = c.directory_id
       where c.run_id = :id
         and c.action in ('add', 'restore', 'change') and not c.reasons @> array['disabled-in-directory']
         and (c.action <> 'change' or u.required_since is null
           and (u.state = 'active' or c.reasons @> array['enabled-in-directory']))
         and (c.action = 'add' or not exists (
           select from authenticators a where a.user_id = c.user_id and a.state = 'active'))
     )
     select count(*) filter (where organization or directory or new_user or by_group)::int as all,
       count(*) filter (where organization)::int as organization,
       count(*) filter (where directory)::int as directory,
       count(*) filter (where new_user)::int as "newUser",
       count(*) filter (where by_group)::int as groups
     from candidate`,
    { ...run, newUserFlag },
  );
  return rows[0] ?? { all: 0, organization: 0, directory: 0, newUser: 0, groups: 0 };
}
