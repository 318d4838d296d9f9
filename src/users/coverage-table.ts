// How many of the active users are enrolled, and since which day. Reads only.

import type { Database } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";

export interface Coverage {
  active: number;
  required: number;
  enrolled: number;
  /** Required, not enrolled. */
  missing: number;
  /** Of these, those whose grace is over, or who never had one. */
  overdue: number;
}

export async function findCoverage(db: Database): Promise<Coverage> {
  const rows = await rawRows<Coverage>(
    db,
    `select count(*)::int as active, count(*) filter (where u.required_since is not null)::int as required,
       count(a.id)::int as enrolled,
       count(*) filter (where u.required_since is not null and a.id is null)::int as missing,
       count(*) filter (where u.required_since is not null and a.id is null
         and coalesce(u.enrollment_deadline, '-infinity') <= clock_timestamp())::int as overdue
     from users u left join authenticators a on a.user_id = u.id and a.state = 'active'
     where u.state = 'active'`,
  );
  return rows[0] ?? { active: 0, required: 0, enrolled: 0, missing: 0, overdue: 0 };
}

export interface EnrolledByDay {
  /** `2026-03-01`, in UTC. */
  day: string;
  /** Active users who are enrolled now and were by the end of that day. */
  enrolled: number;
}

/** One row a day, oldest first, up to today. Whoever has replaced the device since counts from then on. */
export async function listEnrolledByDay(db: Database, days: number): Promise<EnrolledByDay[]> {
  const rows = await rawRows<EnrolledByDay>(
    db,
    `select to_char(day, 'YYYY-MM-DD') as day, (
       select count(*)::int from authenticators a join users u on u.id = a.user_id
       where a.state = 'active' and u.state = 'active' and a.confirmed_at < (day + interval '1 day') at time zone 'UTC'
     ) as enrolled
     from generate_series(
       date_trunc('day', now() at time zone 'UTC') - (:days::int - 1) * interval '1 day',
       date_trunc('day', now() at time zone 'UTC'), interval '1 day'
     ) as day order by day`,
    { days },
  );
  return rows;
}
