-- The least that verifications and sign-in decisions need, for the floors: users with names, groups, authenticators, and a list of
-- events. Written by hand; nothing of dirmfa's own schema. :users is the number of users, named u0000000 and so on.
create table floor_users (
  id uuid primary key default gen_random_uuid(),
  username text not null collate "C" unique,
  state text not null default 'active',
  required boolean not null default true,
  deadline timestamptz
);
create table floor_groups (user_id uuid not null references floor_users, name text not null, primary key (user_id, name));
create table floor_authenticators (
  user_id uuid primary key references floor_users,
  sealed bytea not null,
  last_step bigint not null
) with (fillfactor = 80);
create table floor_events (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  user_id uuid not null,
  actor text not null,
  action text not null,
  outcome text not null
);
insert into floor_users (username) select 'u' || lpad(n::text, 7, '0') from generate_series(0, :users - 1) n;
insert into floor_authenticators select id, decode(repeat('5a', 48), 'hex'), 0 from floor_users;
