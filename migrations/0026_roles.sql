-- Roles: who may do what. Roles belong to the cluster and this schema to one database of it, so nothing here happens before
-- somebody calls create_roles(); until then the owner, and whoever the owner lets, works as ever.

-- What clients call to change something, or to see what they may not read as a whole, runs with the rights of the owner:
-- so no role needs rights on the tables behind it. Each has a search_path that nobody else can put anything into, and
-- what these call works under the same: two that share a helper would else plan it anew at each other's turn.
DO $$
DECLARE
    entry regprocedure;
BEGIN
    FOR entry IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = 'vulkan'::regnamespace
          AND p.proname IN (
            'publish', 'publish_once', 'publish_many', 'create_stream', 'roll_slot', 'maintain',
            'create_group', 'alter_group', 'set_binding', 'resolve_position', 'set_limits', 'set_prefix_limit', 'set_breaker', 'reset_breaker',
            'declare_options', 'forget_declarations', 'loading',
            'claim', 'settle', 'extend', 'reap', 'look', 'complete', 'complete_many', 'save_checkpoint', 'checkpoint_of', 'met_before',
            'take_cursor', 'release_cursor', 'commit_cursor', 'read_events',
            'pause', 'resume', 'skip', 'redrive', 'replay', 'cancel', 'inspect', 'lag', 'group_backlog', 'is_drained', 'check',
            'put_schedule', 'due_schedules', 'plan_schedule', 'fire_schedule', 'fail_schedule', 'pause_schedule', 'resume_schedule',
            'run_schedule_now', 'delete_schedule',
            'worker_beat', 'worker_gone', 'worker_orders', 'taken_elsewhere', 'drain_worker', 'drain_workers')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, vulkan, pg_temp', entry);
    END LOOP;
END $$;

CREATE FUNCTION vulkan.role_names(role_prefix text) RETURNS TABLE (part text, role text)
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT p, format('%s_%s', role_prefix, p) FROM unnest('{owner, migrator, publisher, worker, operator, reader}'::text[]) AS p
$$;
COMMENT ON FUNCTION vulkan.role_names(text) IS 'Internal. The names of the six roles; of no prefix, none.';

-- The owner needs none, the migrator takes on the owner's.
CREATE FUNCTION vulkan.role_rights() RETURNS TABLE (part text, tables text[], functions text[])
LANGUAGE sql IMMUTABLE AS $$
    WITH look(tables, functions) AS (VALUES (
        '{SELECT ON vulkan.streams, SELECT ON vulkan.meta, SELECT ON vulkan.slots, SELECT ON vulkan.groups, SELECT ON vulkan.workers,
          SELECT ON vulkan.deliveries, SELECT ON vulkan.group_overview, SELECT ON vulkan.group_workers, SELECT ON vulkan.prefix_overview,
          SELECT ON vulkan.blocked_keys, SELECT ON vulkan.lso_holders,
          SELECT ON vulkan.offset_seq, SELECT ON vulkan.bindings, SELECT ON vulkan.prefix_limits}'::text[]
        || ARRAY['SELECT (group_id, hi) ON vulkan.claims',
                 -- All but what it publishes.
                 'SELECT (schedule, stream, kind, cron, every, time_zone, missed, grace, catch_up, paused_at, next_at, last_at, last_offset,
                          last_error, partition_key, revision, created_at) ON vulkan.schedule_overview'],
        '{stream_id, group_id, lso, horizon, floors, cursor_of, kind_regex, matches, binding_at, is_message, prefix_limit, is_alive,
          inspect, lag, group_backlog, is_drained, doctor, partitions_missing}'::text[]))
    SELECT 'migrator', '{SELECT ON vulkan.meta}'::text[], '{}'::text[]
    UNION ALL
    SELECT 'publisher',
           -- The sequence for loads, which draw their offsets from it by a default. Nothing that was published can be read.
           '{SELECT ON vulkan.streams, SELECT ON vulkan.meta, USAGE ON SEQUENCE vulkan.offset_seq}',
           '{stream_id, publish, publish_once, publish_many, events_of,
             check_kind, check_key, check_time, check_payload, check_headers, check_event, check_dedup, is_deep}'
    UNION ALL
    SELECT 'worker', l.tables || '{SELECT ON vulkan.events}'::text[],
           l.functions || '{create_stream, create_group, alter_group, set_binding, set_limits, set_breaker, declare_options, resolve_position,
             claim, settle, extend, reap, look, complete, complete_many, save_checkpoint, checkpoint_of, met_before, maintain,
             take_cursor, release_cursor, commit_cursor, read_events,
             put_schedule, due_schedules, plan_schedule, fire_schedule, fail_schedule,
             worker_beat, worker_gone, worker_orders, taken_elsewhere}'::text[]
    FROM look l
    UNION ALL
    SELECT 'operator', l.tables || '{SELECT ON vulkan.events, SELECT ON vulkan.schedule_overview}'::text[],
           l.functions || '{create_stream, create_group, alter_group, set_binding, set_limits, set_prefix_limit, set_breaker, reset_breaker,
             resolve_position, forget_declarations, pause, resume, skip, redrive, replay, cancel, reap, maintain, roll_slot, check,
             put_schedule, due_schedules, plan_schedule, pause_schedule, resume_schedule, run_schedule_now, delete_schedule,
             drain_worker, drain_workers}'::text[]
    FROM look l
    UNION ALL
    SELECT 'reader', l.tables, l.functions FROM look l
$$;
COMMENT ON FUNCTION vulkan.role_rights() IS 'Internal. What each role may do: rights on tables, and functions to call, by name.';

CREATE FUNCTION vulkan.grant_loads(stream_id integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    publisher CONSTANT text := (SELECT n.role FROM vulkan.meta m, vulkan.role_names(m.role_prefix) n WHERE n.part = 'publisher');
BEGIN
    -- Offset, stream and time come by themselves, and by nobody's choice.
    IF to_regrole(quote_ident(publisher)) IS NOT NULL THEN
        EXECUTE format('GRANT INSERT (deliver_at, kind, partition_key, payload, headers) ON vulkan.%I TO %I',
            format('events_%s', stream_id), publisher);
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.grant_loads(integer) IS 'Internal. Lets publishers load the table of a stream, where this database has roles.';

CREATE FUNCTION vulkan.grant_roles() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, vulkan, pg_temp AS $$
DECLARE
    prefix CONSTANT text := (SELECT m.role_prefix FROM vulkan.meta m);
    to_role record;
    item    text;
BEGIN
    PERFORM pg_advisory_xact_lock(1459617793, 0);
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA vulkan FROM PUBLIC;
    FOR to_role IN
        SELECT n.role, r.* FROM vulkan.role_rights() r JOIN vulkan.role_names(prefix) n ON n.part = r.part
        WHERE to_regrole(quote_ident(n.role)) IS NOT NULL
    LOOP
        -- What an older version granted goes; most tables, the partitions above all, nobody has a right on.
        FOR item IN
            SELECT format('REVOKE ALL ON %s FROM %I', c.oid::regclass, to_role.role) FROM pg_class c
            WHERE c.relnamespace = 'vulkan'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
              AND (EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = to_regrole(quote_ident(to_role.role)))
                   OR EXISTS (SELECT FROM pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) a
                              WHERE t.attrelid = c.oid AND t.attacl IS NOT NULL AND a.grantee = to_regrole(quote_ident(to_role.role))))
            UNION ALL
            SELECT format('REVOKE ALL ON FUNCTION %s FROM %I', p.oid::regprocedure, to_role.role) FROM pg_proc p
            WHERE p.pronamespace = 'vulkan'::regnamespace
              AND EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = to_regrole(quote_ident(to_role.role)))
            UNION ALL
            SELECT format('GRANT USAGE ON SCHEMA vulkan TO %I', to_role.role)
            UNION ALL
            SELECT format('GRANT %s TO %I', t, to_role.role) FROM unnest(to_role.tables) AS t
            UNION ALL
            SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', p.oid::regprocedure, to_role.role) FROM pg_proc p
            WHERE p.pronamespace = 'vulkan'::regnamespace AND p.proname = ANY (to_role.functions)
        LOOP
            EXECUTE item;
        END LOOP;
    END LOOP;
    PERFORM vulkan.grant_loads(s.stream_id) FROM vulkan.streams s;
END $$;
COMMENT ON FUNCTION vulkan.grant_roles() IS 'Gives the roles of this database exactly the rights that this version means them to have, and PUBLIC none on its functions. Migrations end with it; call it where rights were changed by hand. For the owner.';

CREATE FUNCTION vulkan.create_roles(role_prefix text DEFAULT 'vulkan') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, vulkan, pg_temp AS $$
DECLARE
    may_create CONSTANT boolean := (SELECT r.rolsuper OR r.rolcreaterole FROM pg_roles r WHERE r.rolname = current_user);
    wanted     record;
    missing    text := '';
    standing   text;
    unfit      text;
BEGIN
    IF role_prefix IS NULL OR role_prefix !~ '^[a-z][a-z0-9_]{0,39}$' OR role_prefix ~ '^pg_' THEN
        RAISE EXCEPTION 'role prefix % is not valid', coalesce(quote_literal(left(role_prefix, 100)), 'NULL')
            USING ERRCODE = 'VK003', HINT = 'Use 1 to 40 of a-z, 0-9 and "_", beginning with a letter, and not with "pg_".';
    END IF;
    PERFORM pg_advisory_xact_lock(1459617793, 0);
    SELECT m.role_prefix INTO standing FROM vulkan.meta m;
    IF standing <> role_prefix THEN
        RAISE EXCEPTION 'this database has roles already, with the prefix "%"', standing
            USING ERRCODE = 'VK003', HINT = 'For others: REASSIGN OWNED BY its owner, DROP OWNED BY each of them, set vulkan.meta.role_prefix to NULL, and call this again.';
    END IF;
    FOR wanted IN SELECT n.role, format('CREATE ROLE %I NOLOGIN', n.role) || CASE n.part WHEN 'migrator' THEN ' NOINHERIT' ELSE '' END AS make
                  FROM vulkan.role_names(create_roles.role_prefix) n WHERE to_regrole(quote_ident(n.role)) IS NULL LOOP
        IF may_create THEN
            BEGIN
                EXECUTE wanted.make;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                -- Another database of the cluster was faster.
                NULL;
            END;
        ELSE
            missing := missing || wanted.make || '; ';
        END IF;
    END LOOP;
    IF NOT may_create AND NOT coalesce(pg_has_role(to_regrole(role_prefix || '_migrator'), to_regrole(role_prefix || '_owner'), 'MEMBER'), false) THEN
        missing := missing || format('GRANT %I TO %I; ', role_prefix || '_owner', role_prefix || '_migrator');
    END IF;
    IF missing <> '' THEN
        RAISE EXCEPTION 'role "%" may not create roles', current_user
            USING ERRCODE = 'insufficient_privilege', HINT = format('Let somebody who may run: %sGRANT %I TO %I; then call this again.', missing, role_prefix || '_owner', current_user);
    END IF;
    -- What stands there already may be something else that only has the name.
    SELECT string_agg(r.rolname, ', ') INTO unfit FROM vulkan.role_names(create_roles.role_prefix) n JOIN pg_roles r ON r.rolname = n.role
    WHERE r.rolsuper OR r.rolcreaterole OR r.rolbypassrls OR r.rolreplication OR r.rolcanlogin;
    IF unfit IS NOT NULL THEN
        RAISE EXCEPTION 'there are roles of these names that may log in, or may do more than Vulkan''s: %', unfit
            USING ERRCODE = 'VK003', HINT = 'Choose another role prefix, or take these rights away from them.';
    END IF;
    PERFORM vulkan.hand_over(role_prefix || '_owner');
    IF NOT pg_has_role(role_prefix || '_migrator', role_prefix || '_owner', 'MEMBER') THEN
        BEGIN
            EXECUTE format('GRANT %I TO %I', role_prefix || '_owner', role_prefix || '_migrator');
        EXCEPTION WHEN unique_violation THEN
            NULL;
        END;
    END IF;
    UPDATE vulkan.meta m SET role_prefix = create_roles.role_prefix WHERE m.role_prefix IS DISTINCT FROM create_roles.role_prefix;
    PERFORM vulkan.grant_roles();
    -- What a later migration makes is nobody's until grant_roles() says whose, from its first moment on.
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC', role_prefix || '_owner');
END $$;
COMMENT ON FUNCTION vulkan.create_roles(text) IS 'Gives this database its roles: PREFIX_owner, which nobody logs in as and to which the schema is handed over; PREFIX_migrator, whose members migrate; PREFIX_publisher, PREFIX_worker, PREFIX_operator, PREFIX_reader. Grant them to the roles that log in. Roles that are there are taken; databases with the same prefix share them. Call it again after anything was changed by hand. For a superuser, or the owner of the schema if it may create roles, or if the roles are there and it is a member of PREFIX_owner. Raises VK003.';

CREATE FUNCTION vulkan.hand_over(new_owner text) RETURNS void
-- Shorter than what Postgres lets pass before it looks for a deadlock: rather this fails than a publisher.
LANGUAGE plpgsql SET search_path = pg_catalog, vulkan, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
    owner_oid CONSTANT oid := to_regrole(quote_ident(new_owner));
    item      text;
BEGIN
    -- From 16 on, who makes a role may give it away, and need not have what it has.
    IF (CASE WHEN current_setting('server_version_num')::integer < 160000 THEN NOT pg_has_role(current_user, owner_oid, 'MEMBER')
             ELSE NOT pg_has_role(current_user, owner_oid, 'SET') OR NOT pg_has_role(current_user, owner_oid, 'USAGE') END) THEN
        EXECUTE format('GRANT %I TO %I', new_owner, current_user);
    END IF;
    IF (SELECT n.nspowner <> owner_oid FROM pg_namespace n WHERE n.nspname = 'vulkan') THEN
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA vulkan TO %I', new_owner);
    END IF;
    FOR item IN
        SELECT format('ALTER %s %s OWNER TO %I', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
                      c.oid::regclass, new_owner)
        FROM pg_class c
        WHERE c.relnamespace = 'vulkan'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S', 'c') AND c.relowner <> owner_oid
          -- The sequences of identity columns go with their tables.
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i' AND c.relkind = 'S')
        UNION ALL
        SELECT format('ALTER FUNCTION %s OWNER TO %I', p.oid::regprocedure, new_owner)
        FROM pg_proc p WHERE p.pronamespace = 'vulkan'::regnamespace AND p.proowner <> owner_oid
        UNION ALL
        SELECT format('ALTER SCHEMA vulkan OWNER TO %I', new_owner)
        FROM pg_namespace n WHERE n.nspname = 'vulkan' AND n.nspowner <> owner_oid
    LOOP
        EXECUTE item;
    END LOOP;
END $$;
COMMENT ON FUNCTION vulkan.hand_over(text) IS 'Internal. Makes a role the owner of the schema and all in it.';
