-- The smallest transaction that is right: find the user's authenticator by name, raise its last step if it is smaller, and write the
-- audit event. The steps of one client rise, and a user's codes come from one client alone, so that each is accepted.
\set turn :turn + 1
\set number permute((:turn * :clients + :client_id) % :users, :users)
with raised as (
  update floor_authenticators a set last_step = :turn
  from floor_users u
  where u.username = 'u' || lpad((:number)::text, 7, '0') and u.state = 'active'
    and a.user_id = u.id and a.last_step < :turn
  returning a.user_id
)
insert into floor_events (user_id, actor, action, outcome)
select user_id, 'bench', 'verification', 'accepted' from raised;
