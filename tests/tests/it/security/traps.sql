-- Everything that the functions of the engine might name, once more in a schema of the attacker's: each says who fell for it. Until all
-- are there, they are out of the way.
SET search_path = pg_catalog;

CREATE FUNCTION lair.fell(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.caught VALUES (current_user, what);
    RETURN true;
END $$;

DO $make$
DECLARE
    trap record;
    nth  integer := 0;
    name text;
BEGIN
    -- Functions, with the very arguments of those that the engine calls.
    FOR trap IN
        SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
               CASE WHEN p.proretset OR p.prorettype = 'void'::regtype THEN 'RETURN' ELSE 'RETURN NULL' END AS ends
        FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.provariadic = 0 AND p.proargmodes IS NULL
          AND p.proname IN (SELECT m[1] FROM pg_proc v, regexp_matches(v.prosrc, '([a-z_0-9]+)\s*\(', 'g') m
                            WHERE v.pronamespace = 'vulkan'::regnamespace)
          AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (p.proargtypes::oid[] || p.prorettype)
                          AND t.typtype = 'p' AND t.typname !~ '^any.' AND t.typname <> 'void')
    LOOP
        EXECUTE format('CREATE FUNCTION lair.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', trap.proname, trap.arguments, trap.result,
            format('BEGIN PERFORM lair.fell(%L); %s; END', trap.proname, trap.ends));
    END LOOP;
    -- What takes anything, with arguments that fit better.
    FOR trap IN
        SELECT f.name, f.result, array_to_string(array_remove(ARRAY['text', a, b, c], NULL), ', ') AS arguments
        FROM (VALUES ('format', 'text'), ('concat_ws', 'text')) f(name, result),
             unnest('{text,integer,bigint,NULL}'::text[]) a, unnest('{text,integer,bigint,NULL}'::text[]) b, unnest('{text,integer,bigint,NULL}'::text[]) c
        WHERE a IS NOT NULL AND (b IS NOT NULL OR c IS NULL)
    LOOP
        EXECUTE format('CREATE FUNCTION lair.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', trap.name, trap.arguments, trap.result,
            format('BEGIN PERFORM lair.fell(%L); RETURN NULL; END', trap.name));
    END LOOP;
    FOR trap IN
        SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprresult::regtype AS result
        FROM pg_operator o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprkind = 'b' AND ARRAY[o.oprleft, o.oprright] <@
            '{boolean,smallint,integer,bigint,numeric,float8,text,name,oid,tid,timestamptz,interval,jsonb,anyarray,anyelement,anycompatible,anycompatiblearray}'::regtype[]::oid[]
    LOOP
        nth := nth + 1;
        EXECUTE format('CREATE FUNCTION lair.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', nth, trap.l, trap.r, trap.result,
            format('BEGIN PERFORM lair.fell(%L); RETURN NULL; END', 'operator ' || trap.oprname));
        EXECUTE format('CREATE OPERATOR lair.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = lair.operator_%s)', trap.oprname, trap.l, trap.r, nth);
    END LOOP;
    CREATE FUNCTION lair.counted(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM lair.fell('count'); RETURN 0; END $$;
    CREATE AGGREGATE lair.count(*) (SFUNC = lair.counted, STYPE = bigint);
    CREATE FUNCTION lair.gathered(bigint, bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM lair.fell('max'); RETURN 0; END $$;
    CREATE AGGREGATE lair.max(bigint) (SFUNC = lair.gathered, STYPE = bigint);
    CREATE AGGREGATE lair.min(bigint) (SFUNC = lair.gathered, STYPE = bigint);
    CREATE AGGREGATE lair.sum(bigint) (SFUNC = lair.gathered, STYPE = bigint);
    -- Tables and types, here and among what is temporary, where the path of a session finds them first: ours, and those of the catalog.
    FOREACH name IN ARRAY '{streams,groups,events,claims,meta,exceptions,lanes,keys,runs,bindings,workers,schedules,pg_proc,pg_class,pg_roles,pg_locks,pg_sequence}'::text[] LOOP
        EXECUTE format('CREATE TEMP TABLE %I (name text, oid oid)', name);
    END LOOP;
    FOREACH name IN ARRAY '{regclass,timestamptz,jsonb,text}'::text[] LOOP
        EXECUTE format('CREATE DOMAIN lair.%1$I AS pg_catalog.%1$I CHECK (lair.fell(%2$L))', name, 'type ' || name);
        EXECUTE format('CREATE DOMAIN pg_temp.%1$I AS pg_catalog.%1$I CHECK (lair.fell(%2$L))', name, 'type ' || name);
    END LOOP;
END $make$;

SET search_path = lair, pg_temp, pg_catalog, vulkan, public;
