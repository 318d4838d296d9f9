-- The schema after all migrations. Made by `npm run schema`; read, never run.

CREATE FUNCTION public.cut_audit(up_to bigint, at_time timestamp with time zone, anchor_mac bytea) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
  declare
    cut bigint;
  begin
    if up_to >= (select max(position) from audit_seals) then
      raise exception 'the last seal stays' using errcode = 'insufficient_privilege';
    end if;
    if exists (
      select from audit_seals s join audit_events e on e.id = s.event_id
      where s.position <= up_to and e.at > clock_timestamp() - interval '1 day'
    ) then
      raise exception 'events of the last day stay' using errcode = 'insufficient_privilege';
    end if;
    insert into audit_anchors (position, chain_mac, highest_event_id, cut_at, mac)
    select up_to, s.chain_mac, greatest(
      (select max(event_id) from audit_seals where position <= up_to),
      (select max(highest_event_id) from audit_anchors)
    ), at_time, anchor_mac
    from audit_seals s where s.position = up_to;
    if not found then
      raise exception 'there is no such seal' using errcode = 'insufficient_privilege';
    end if;
    set constraints audit_seals_event deferred;
    delete from audit_events where id in (select event_id from audit_seals where position <= up_to);
    get diagnostics cut = row_count;
    delete from audit_seals where position <= up_to;
    set constraints audit_seals_event immediate;
    return cut;
  end $$;

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
  begin
    raise exception 'table % is append-only', tg_table_name using errcode = 'insufficient_privilege';
  end $$;

CREATE FUNCTION public.refuse_delete_of_uncut_event() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
  begin
    if exists (
      select from audit_seals s
      where s.event_id = old.id and s.position <= (select max(position) from audit_anchors)
    ) then return old; end if;
    raise exception 'table audit_events is append-only' using errcode = 'insufficient_privilege';
  end $$;

CREATE FUNCTION public.refuse_delete_of_uncut_seal() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
  begin
    if old.position <= (select max(position) from audit_anchors) then return old; end if;
    raise exception 'table audit_seals is append-only' using errcode = 'insufficient_privilege';
  end $$;

CREATE FUNCTION public.write_notices() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
  declare
    kind text := case
      when new.action = 'enrollment-confirm' and new.details -> 'replaces' = 'true' then 'replaced'
      when new.action = 'enrollment-confirm' then 'enrolled'
      when new.action = 'mfa-disable' and new.details -> 'byAdmin' = 'true' then 'disabled-by-admin'
      when new.action = 'mfa-disable' then 'disabled'
      when new.action = 'verification' and new.outcome = 'accepted' then 'backup-code-used'
      when new.action = 'verification' then 'locked-out'
      when new.action = 'sync-hold' then 'run-held'
      else 'seal-broken'
    end;
    facts jsonb := jsonb_build_object('at', new.at);
  begin
    if kind in ('run-held', 'seal-broken') then
      insert into notices (kind, channel, directory, facts, once_key)
      select kind, channel, new.directory, facts || jsonb_build_object('runId', new.details -> 'runId'),
        -- One an hour: while a key is missing each sign-in finds it.
        case when kind = 'seal-broken' then kind || ':' || channel || ':' || date_trunc('hour', new.at) end
      from unnest(array['mail', 'webhook']) as channel
      on conflict do nothing;
      return null;
    end if;
    if kind = 'backup-code-used' then
      facts := facts || jsonb_build_object('remaining', (
        select count(*) from authenticators a join backup_code_sets s on s.authenticator_id = a.id
          join backup_codes c on c.set_id = s.id
        where a.user_id = new.user_id and a.state = 'active' and c.spent_at is null));
    elsif kind = 'locked-out' then
      facts := facts || jsonb_build_object('method', new.details -> 'method', 'lockedUntil', new.details -> 'lockedUntil');
    end if;
    insert into notices (kind, channel, user_id, address, directory, facts)
    select kind, 'mail', u.id, u.email, u.directory, facts from users u
    where u.id = new.user_id and u.email is not null and u.state <> 'removed';
    return null;
  end $$;

CREATE TABLE public.audit_anchors (
    "position" bigint NOT NULL,
    chain_mac bytea NOT NULL,
    highest_event_id bigint NOT NULL,
    cut_at timestamp with time zone NOT NULL,
    mac bytea NOT NULL,
    CONSTRAINT audit_anchors_position_positive CHECK (("position" > 0))
);

CREATE TABLE public.audit_chain_keys (
    id smallint NOT NULL,
    key_id text NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT audit_chain_keys_one CHECK ((id = 1))
);

CREATE TABLE public.audit_events (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text NOT NULL,
    via text NOT NULL,
    action text NOT NULL,
    user_id uuid,
    directory text COLLATE pg_catalog."C",
    outcome text NOT NULL,
    details jsonb NOT NULL,
    request_id text,
    CONSTRAINT audit_events_via_known CHECK ((via = ANY (ARRAY['api'::text, 'cli'::text, 'sync'::text, 'daemon'::text, 'console'::text])))
);

ALTER TABLE public.audit_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.audit_gaps (
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    noticed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT audit_gaps_order CHECK ((first_id <= last_id))
);

CREATE TABLE public.audit_seals (
    "position" bigint NOT NULL,
    event_id bigint NOT NULL,
    event_mac bytea NOT NULL,
    chain_mac bytea NOT NULL,
    sealed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    version smallint NOT NULL,
    CONSTRAINT audit_seals_position_positive CHECK (("position" > 0)),
    CONSTRAINT audit_seals_version_known CHECK ((version = ANY (ARRAY[1, 2])))
);

CREATE TABLE public.audit_streams (
    name text NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT audit_streams_position_positive CHECK (("position" >= 0))
);

CREATE TABLE public.authenticators (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    state text NOT NULL,
    key_id text NOT NULL,
    sealed bytea NOT NULL,
    last_step bigint DEFAULT '-1'::integer NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone,
    confirmed_at timestamp with time zone,
    replaces uuid,
    with_pass boolean DEFAULT false NOT NULL,
    CONSTRAINT authenticators_active_spent CHECK (((state = 'pending'::text) OR (last_step >= 0))),
    CONSTRAINT authenticators_confirmed_matches CHECK (((state = 'active'::text) = (confirmed_at IS NOT NULL))),
    CONSTRAINT authenticators_expires_matches CHECK (((state = 'pending'::text) = (expires_at IS NOT NULL))),
    CONSTRAINT authenticators_replaces_while_pending CHECK (((state = 'pending'::text) OR (replaces IS NULL))),
    CONSTRAINT authenticators_state_known CHECK ((state = ANY (ARRAY['pending'::text, 'active'::text])))
)
WITH (fillfactor='80');

CREATE TABLE public.backup_code_sets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    authenticator_id uuid NOT NULL,
    kdf text NOT NULL,
    salt bytea NOT NULL,
    key_id text NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT backup_code_sets_salt_long_enough CHECK ((octet_length(salt) >= 16))
);

CREATE TABLE public.backup_codes (
    set_id uuid NOT NULL,
    "position" smallint NOT NULL,
    spent_at timestamp with time zone
);

CREATE TABLE public.console_sessions (
    token_hash bytea NOT NULL,
    user_id uuid NOT NULL,
    stage text NOT NULL,
    authenticator_id uuid,
    roles text[] NOT NULL,
    agent_hash bytea NOT NULL,
    began_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    CONSTRAINT console_sessions_both_factors CHECK (((stage = 'signed-in'::text) = (authenticator_id IS NOT NULL))),
    CONSTRAINT console_sessions_stage_known CHECK ((stage = ANY (ARRAY['challenge'::text, 'enroll'::text, 'signed-in'::text])))
);

CREATE TABLE public.directories (
    name text NOT NULL,
    first_imported_at timestamp with time zone,
    server_identity text,
    server_state text,
    last_complete_at timestamp with time zone,
    memberships_as text,
    kind text,
    older_since timestamp with time zone,
    CONSTRAINT directories_memberships_as_known CHECK ((memberships_as = ANY (ARRAY['nested'::text, 'direct'::text])))
);

CREATE TABLE public.directory_marks (
    directory text NOT NULL,
    server_identity text NOT NULL,
    mark text NOT NULL,
    reading text NOT NULL,
    full_run uuid NOT NULL
);

CREATE TABLE public.enrollment_passes (
    user_id uuid NOT NULL,
    hash bytea NOT NULL,
    issued_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT enrollment_passes_hash_length CHECK ((octet_length(hash) = 32))
);

CREATE TABLE public.group_members (
    group_id uuid NOT NULL,
    member_key text NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE public.groups (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    directory text NOT NULL COLLATE pg_catalog."C",
    directory_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    name_key text NOT NULL COLLATE pg_catalog."C",
    dn text NOT NULL,
    dn_key text NOT NULL COLLATE pg_catalog."C",
    entry_hash text NOT NULL COLLATE pg_catalog."C",
    required_as text[] DEFAULT '{}'::text[] NOT NULL
);

CREATE TABLE public.leases (
    name text NOT NULL,
    holder text NOT NULL,
    token bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE public.lockouts (
    user_id uuid NOT NULL,
    method text NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    level integer DEFAULT 0 NOT NULL,
    locked_until timestamp with time zone,
    refused integer DEFAULT 0 NOT NULL,
    CONSTRAINT lockouts_counts_positive CHECK (((failures >= 0) AND (level >= 0))),
    CONSTRAINT lockouts_method_known CHECK ((method = ANY (ARRAY['totp'::text, 'backup-code'::text, 'enrollment-pass'::text]))),
    CONSTRAINT lockouts_refused_positive CHECK ((refused >= 0))
)
WITH (fillfactor='80');

CREATE TABLE public.mfa_policy (
    only_row boolean DEFAULT true NOT NULL,
    digest text NOT NULL,
    organization boolean NOT NULL,
    directories text[] NOT NULL,
    group_keys text[] NOT NULL,
    new_users boolean NOT NULL,
    initial_import text NOT NULL,
    grace_ms bigint NOT NULL,
    enrollment_pass boolean NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT mfa_policy_grace_positive CHECK ((grace_ms >= 0)),
    CONSTRAINT mfa_policy_initial_import_known CHECK ((initial_import = ANY (ARRAY['exempt'::text, 'include'::text]))),
    CONSTRAINT mfa_policy_only_row CHECK (only_row)
);

CREATE TABLE public.notices (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind text NOT NULL,
    channel text NOT NULL,
    user_id uuid,
    address text,
    directory text,
    facts jsonb DEFAULT '{}'::jsonb NOT NULL,
    once_key text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_error text,
    ended_at timestamp with time zone,
    CONSTRAINT notices_address_of_user CHECK (((user_id IS NULL) = (address IS NULL))),
    CONSTRAINT notices_attempts_positive CHECK ((attempts >= 0)),
    CONSTRAINT notices_channel_known CHECK ((channel = ANY (ARRAY['mail'::text, 'webhook'::text]))),
    CONSTRAINT notices_ended CHECK (((state = 'waiting'::text) = (ended_at IS NULL))),
    CONSTRAINT notices_state_known CHECK ((state = ANY (ARRAY['waiting'::text, 'delivered'::text, 'dead'::text])))
);

CREATE TABLE public.replicas (
    holder text NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    keys jsonb NOT NULL
);

CREATE TABLE public.schema_version (
    only_row boolean DEFAULT true NOT NULL,
    migration text,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schema_version_only_row CHECK (only_row)
);

CREATE TABLE public.sealing_keys (
    id text NOT NULL,
    check_value bytea NOT NULL,
    state text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retired_at timestamp with time zone,
    CONSTRAINT sealing_keys_retired_at_matches CHECK (((state = 'retired'::text) = (retired_at IS NOT NULL))),
    CONSTRAINT sealing_keys_state_known CHECK ((state = ANY (ARRAY['active'::text, 'retiring'::text, 'retired'::text])))
);

CREATE UNLOGGED TABLE public.staged_entries (
    run_id uuid NOT NULL,
    directory_id text NOT NULL COLLATE pg_catalog."C",
    username text NOT NULL,
    username_key text NOT NULL COLLATE pg_catalog."C",
    display_name text,
    email text,
    dn text NOT NULL,
    dn_key text NOT NULL COLLATE pg_catalog."C",
    alias_keys text,
    disabled boolean,
    entry_hash text NOT NULL COLLATE pg_catalog."C",
    primary_group_key text,
    user_id uuid NOT NULL
);
ALTER TABLE ONLY public.staged_entries ALTER COLUMN run_id SET STATISTICS 10;
ALTER TABLE ONLY public.staged_entries ALTER COLUMN directory_id SET STATISTICS 10;
ALTER TABLE ONLY public.staged_entries ALTER COLUMN username_key SET STATISTICS 10;

CREATE UNLOGGED TABLE public.staged_group_members (
    run_id uuid NOT NULL,
    group_directory_id text NOT NULL COLLATE pg_catalog."C",
    member_key text NOT NULL COLLATE pg_catalog."C",
    joins boolean NOT NULL
);
ALTER TABLE ONLY public.staged_group_members ALTER COLUMN run_id SET STATISTICS 10;
ALTER TABLE ONLY public.staged_group_members ALTER COLUMN group_directory_id SET STATISTICS 10;
ALTER TABLE ONLY public.staged_group_members ALTER COLUMN member_key SET STATISTICS 10;

CREATE UNLOGGED TABLE public.staged_groups (
    id bigint NOT NULL,
    run_id uuid NOT NULL,
    directory_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    name_key text NOT NULL COLLATE pg_catalog."C",
    dn text NOT NULL,
    dn_key text NOT NULL COLLATE pg_catalog."C",
    entry_hash text NOT NULL COLLATE pg_catalog."C"
);
ALTER TABLE ONLY public.staged_groups ALTER COLUMN run_id SET STATISTICS 10;
ALTER TABLE ONLY public.staged_groups ALTER COLUMN directory_id SET STATISTICS 10;
ALTER TABLE ONLY public.staged_groups ALTER COLUMN dn_key SET STATISTICS 10;

ALTER TABLE public.staged_groups ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.staged_groups_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE UNLOGGED TABLE public.staged_memberships (
    run_id uuid NOT NULL,
    directory_id text NOT NULL COLLATE pg_catalog."C",
    group_directory_id text NOT NULL COLLATE pg_catalog."C",
    joins boolean NOT NULL
);

CREATE UNLOGGED TABLE public.staged_pages (
    run_id uuid NOT NULL,
    number integer NOT NULL,
    unchanged_ids uuid[] NOT NULL,
    of_groups boolean DEFAULT false NOT NULL
);
ALTER TABLE ONLY public.staged_pages ALTER COLUMN unchanged_ids SET STORAGE EXTERNAL;

CREATE TABLE public.sync_changes (
    run_id uuid NOT NULL,
    directory_id text NOT NULL COLLATE pg_catalog."C",
    user_id uuid,
    action text NOT NULL,
    username text NOT NULL,
    dn text NOT NULL,
    reasons text[] NOT NULL,
    before jsonb,
    after jsonb,
    CONSTRAINT sync_changes_action_known CHECK ((action = ANY (ARRAY['add'::text, 'change'::text, 'restore'::text, 'disable'::text, 'remove'::text])))
);
ALTER TABLE ONLY public.sync_changes ALTER COLUMN run_id SET STATISTICS 10;
ALTER TABLE ONLY public.sync_changes ALTER COLUMN directory_id SET STATISTICS 10;
ALTER TABLE ONLY public.sync_changes ALTER COLUMN user_id SET STATISTICS 10;
ALTER TABLE ONLY public.sync_changes ALTER COLUMN action SET STATISTICS 10;

CREATE TABLE public.sync_runs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    directory text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    trigger text NOT NULL,
    requested_by text NOT NULL,
    dry_run boolean NOT NULL,
    approves uuid,
    status text NOT NULL,
    fencing_token bigint NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    server_url text,
    server_identity text,
    server_state text,
    listed integer,
    unchanged integer,
    added integer,
    changed integer,
    restored integer,
    disabled integer,
    removed integer,
    skipped integer,
    hold_reasons jsonb,
    notes jsonb,
    plan_digest text,
    approved_at timestamp with time zone,
    approved_by text,
    error_code text,
    error_message text,
    error_remedy text,
    measured jsonb,
    slot timestamp with time zone,
    plan_of uuid,
    skips_of uuid,
    skips_digest text,
    planned_from timestamp with time zone,
    CONSTRAINT sync_runs_finished_matches CHECK (((status = 'running'::text) = (finished_at IS NULL))),
    CONSTRAINT sync_runs_kind_known CHECK ((kind = ANY (ARRAY['full'::text, 'incremental'::text, 'one-user'::text]))),
    CONSTRAINT sync_runs_status_known CHECK ((status = ANY (ARRAY['running'::text, 'succeeded'::text, 'failed'::text, 'held'::text, 'abandoned'::text]))),
    CONSTRAINT sync_runs_trigger_known CHECK ((trigger = ANY (ARRAY['schedule'::text, 'start'::text, 'request'::text, 'approval'::text])))
);

CREATE TABLE public.sync_skips (
    id bigint NOT NULL,
    run_id uuid NOT NULL,
    dn text NOT NULL,
    dn_key text COLLATE pg_catalog."C",
    directory_id text COLLATE pg_catalog."C",
    username_key text COLLATE pg_catalog."C",
    reason text NOT NULL,
    detail text NOT NULL,
    of_groups boolean DEFAULT false NOT NULL,
    disabled boolean
);

ALTER TABLE public.sync_skips ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.sync_skips_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.user_absences (
    user_id uuid NOT NULL,
    listings integer NOT NULL
);

CREATE TABLE public.user_aliases (
    alias_key text NOT NULL COLLATE pg_catalog."C",
    user_id uuid NOT NULL
);

CREATE TABLE public.user_groups (
    user_id uuid NOT NULL,
    group_id uuid NOT NULL
);

CREATE TABLE public.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    directory text NOT NULL COLLATE pg_catalog."C",
    directory_id text NOT NULL COLLATE pg_catalog."C",
    username text NOT NULL,
    username_key text NOT NULL COLLATE pg_catalog."C",
    display_name text,
    email text,
    dn text NOT NULL,
    dn_key text NOT NULL COLLATE pg_catalog."C",
    alias_keys text,
    state text NOT NULL,
    entry_hash text NOT NULL COLLATE pg_catalog."C",
    required_new_user boolean NOT NULL,
    required_by_admin boolean,
    required_since timestamp with time zone,
    enrollment_deadline timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    removed_at timestamp with time zone,
    primary_group_key text,
    graces jsonb,
    refreshed_at timestamp with time zone,
    CONSTRAINT users_deadline_matches CHECK (((required_since IS NULL) = (enrollment_deadline IS NULL))),
    CONSTRAINT users_removed_at_matches CHECK (((state = 'removed'::text) = (removed_at IS NOT NULL))),
    CONSTRAINT users_state_known CHECK ((state = ANY (ARRAY['active'::text, 'disabled'::text, 'removed'::text])))
);

ALTER TABLE ONLY public.audit_anchors
    ADD CONSTRAINT audit_anchors_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY public.audit_chain_keys
    ADD CONSTRAINT audit_chain_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audit_events
    ADD CONSTRAINT audit_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audit_gaps
    ADD CONSTRAINT audit_gaps_pkey PRIMARY KEY (first_id);

ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT audit_seals_event_once UNIQUE (event_id);

ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT audit_seals_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY public.audit_streams
    ADD CONSTRAINT audit_streams_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.authenticators
    ADD CONSTRAINT authenticators_one_each UNIQUE (user_id, state);

ALTER TABLE ONLY public.authenticators
    ADD CONSTRAINT authenticators_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.backup_code_sets
    ADD CONSTRAINT backup_code_sets_one_each UNIQUE (authenticator_id);

ALTER TABLE ONLY public.backup_code_sets
    ADD CONSTRAINT backup_code_sets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.backup_codes
    ADD CONSTRAINT backup_codes_pkey PRIMARY KEY (set_id, "position");

ALTER TABLE ONLY public.console_sessions
    ADD CONSTRAINT console_sessions_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.directories
    ADD CONSTRAINT directories_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.directory_marks
    ADD CONSTRAINT directory_marks_pkey PRIMARY KEY (directory);

ALTER TABLE ONLY public.enrollment_passes
    ADD CONSTRAINT enrollment_passes_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.group_members
    ADD CONSTRAINT group_members_pkey PRIMARY KEY (group_id, member_key);

ALTER TABLE ONLY public.groups
    ADD CONSTRAINT groups_directory_id_unique UNIQUE (directory, directory_id);

ALTER TABLE ONLY public.groups
    ADD CONSTRAINT groups_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.lockouts
    ADD CONSTRAINT lockouts_pkey PRIMARY KEY (user_id, method);

ALTER TABLE ONLY public.mfa_policy
    ADD CONSTRAINT mfa_policy_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.notices
    ADD CONSTRAINT notices_once UNIQUE (once_key);

ALTER TABLE ONLY public.notices
    ADD CONSTRAINT notices_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.replicas
    ADD CONSTRAINT replicas_pkey PRIMARY KEY (holder);

ALTER TABLE ONLY public.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.sealing_keys
    ADD CONSTRAINT sealing_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.staged_memberships
    ADD CONSTRAINT staged_memberships_pkey PRIMARY KEY (run_id, directory_id, group_directory_id);

ALTER TABLE ONLY public.staged_pages
    ADD CONSTRAINT staged_pages_pkey PRIMARY KEY (run_id, number);

ALTER TABLE ONLY public.sync_changes
    ADD CONSTRAINT sync_changes_pkey PRIMARY KEY (run_id, directory_id);

ALTER TABLE ONLY public.sync_runs
    ADD CONSTRAINT sync_runs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sync_skips
    ADD CONSTRAINT sync_skips_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.user_absences
    ADD CONSTRAINT user_absences_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.user_aliases
    ADD CONSTRAINT user_aliases_pkey PRIMARY KEY (alias_key, user_id);

ALTER TABLE ONLY public.user_groups
    ADD CONSTRAINT user_groups_pkey PRIMARY KEY (user_id, group_id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_directory_id_unique UNIQUE (directory, directory_id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

CREATE INDEX audit_events_action ON public.audit_events USING btree (action, id);

CREATE INDEX audit_events_user ON public.audit_events USING btree (user_id, id) WHERE (user_id IS NOT NULL);

CREATE INDEX authenticators_key_id ON public.authenticators USING btree (key_id);

CREATE INDEX backup_code_sets_key_id ON public.backup_code_sets USING btree (key_id);

CREATE INDEX console_sessions_ends_at ON public.console_sessions USING btree (ends_at);

CREATE INDEX console_sessions_user_id ON public.console_sessions USING btree (user_id);

CREATE INDEX group_members_key ON public.group_members USING btree (member_key);

CREATE INDEX lockouts_refused ON public.lockouts USING btree (locked_until) WHERE (refused > 0);

CREATE INDEX notices_ended ON public.notices USING btree (ended_at) WHERE (state <> 'waiting'::text);

CREATE INDEX notices_of_user ON public.notices USING btree (user_id) WHERE (user_id IS NOT NULL);

CREATE INDEX notices_waiting ON public.notices USING btree (channel, next_attempt_at) WHERE (state = 'waiting'::text);

CREATE UNIQUE INDEX sealing_keys_one_active ON public.sealing_keys USING btree (state) WHERE (state = 'active'::text);

CREATE INDEX staged_entries_run ON public.staged_entries USING btree (run_id);

CREATE INDEX staged_group_members_run ON public.staged_group_members USING btree (run_id);

CREATE INDEX staged_groups_run ON public.staged_groups USING btree (run_id);

CREATE INDEX sync_runs_directory_started ON public.sync_runs USING btree (directory, started_at DESC);

CREATE INDEX sync_skips_run ON public.sync_skips USING btree (run_id);

CREATE INDEX user_aliases_user_id ON public.user_aliases USING btree (user_id);

CREATE INDEX user_groups_group_id ON public.user_groups USING btree (group_id);

CREATE UNIQUE INDEX users_live_name_unique ON public.users USING btree (username_key, directory) WHERE (state <> 'removed'::text);

CREATE INDEX users_refreshed ON public.users USING btree (directory) WHERE (refreshed_at IS NOT NULL);

CREATE INDEX users_removed_name ON public.users USING btree (username_key) WHERE (state = 'removed'::text);

CREATE TRIGGER audit_anchors_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_anchors FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR TRUNCATE ON public.audit_events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON public.audit_events FOR EACH ROW EXECUTE FUNCTION public.refuse_delete_of_uncut_event();

CREATE TRIGGER audit_events_notices AFTER INSERT ON public.audit_events FOR EACH ROW WHEN (((new.action = ANY (ARRAY['sync-hold'::text, 'seal-broken'::text])) OR ((new.action = ANY (ARRAY['enrollment-confirm'::text, 'mfa-disable'::text])) AND (new.outcome = 'done'::text)) OR ((new.action = 'verification'::text) AND (((new.outcome = 'accepted'::text) AND ((new.details ->> 'method'::text) = 'backup-code'::text)) OR ((new.outcome <> ALL (ARRAY['accepted'::text, 'locked-out'::text])) AND ((new.details -> 'lockedUntil'::text) IS NOT NULL)))))) EXECUTE FUNCTION public.write_notices();

CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR TRUNCATE ON public.audit_seals FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER audit_seals_no_delete BEFORE DELETE ON public.audit_seals FOR EACH ROW EXECUTE FUNCTION public.refuse_delete_of_uncut_seal();

ALTER TABLE ONLY public.audit_chain_keys
    ADD CONSTRAINT audit_chain_keys_key FOREIGN KEY (key_id) REFERENCES public.sealing_keys(id);

ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT audit_seals_event FOREIGN KEY (event_id) REFERENCES public.audit_events(id) DEFERRABLE;

ALTER TABLE ONLY public.authenticators
    ADD CONSTRAINT authenticators_key FOREIGN KEY (key_id) REFERENCES public.sealing_keys(id);

ALTER TABLE ONLY public.authenticators
    ADD CONSTRAINT authenticators_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.backup_code_sets
    ADD CONSTRAINT backup_code_sets_authenticator FOREIGN KEY (authenticator_id) REFERENCES public.authenticators(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.backup_code_sets
    ADD CONSTRAINT backup_code_sets_key FOREIGN KEY (key_id) REFERENCES public.sealing_keys(id);

ALTER TABLE ONLY public.backup_codes
    ADD CONSTRAINT backup_codes_set FOREIGN KEY (set_id) REFERENCES public.backup_code_sets(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.console_sessions
    ADD CONSTRAINT console_sessions_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.directory_marks
    ADD CONSTRAINT directory_marks_directory FOREIGN KEY (directory) REFERENCES public.directories(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.enrollment_passes
    ADD CONSTRAINT enrollment_passes_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.group_members
    ADD CONSTRAINT group_members_group FOREIGN KEY (group_id) REFERENCES public.groups(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.lockouts
    ADD CONSTRAINT lockouts_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notices
    ADD CONSTRAINT notices_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_absences
    ADD CONSTRAINT user_absences_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_aliases
    ADD CONSTRAINT user_aliases_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_groups
    ADD CONSTRAINT user_groups_group FOREIGN KEY (group_id) REFERENCES public.groups(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_groups
    ADD CONSTRAINT user_groups_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
