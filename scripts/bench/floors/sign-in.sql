-- One select by name: the user, the groups, the requirement and the authenticator.
\set number random(0, :users - 1)
select u.id, u.username, u.state, u.required, u.deadline, a.user_id is not null as enrolled,
  array(select g.name from floor_groups g where g.user_id = u.id) as groups
from floor_users u left join floor_authenticators a on a.user_id = u.id
where u.username = 'u' || lpad((:number)::text, 7, '0');
