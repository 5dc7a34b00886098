-- How the hot path is planned.

-- Claims, lanes and exceptions change by the second, so what the planner believes of them is always
-- wrong: a table it last saw empty holds a hundred thousand rows, and a sequential scan over it looks
-- cheap. Everything here is found by an index, row by row, so the other ways are shut for these calls
-- and what they call. Joins of a list to a table are written as LATERAL with LIMIT 1 and go on by ctid,
-- which leaves the planner no choice of order. (No FOR UPDATE in those that wait: the row it would
-- lock can be newer than the statement's snapshot, and its ctid then finds nothing.) jit: nothing here runs long enough to be worth compiling.
DO $$
DECLARE
    entry regprocedure;
BEGIN
    FOR entry IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = 'vulkan'::regnamespace
          AND p.proname IN ('claim', 'settle', 'extend', 'reap', 'look', 'complete', 'complete_many',
                            'met_before', 'save_checkpoint', 'sweep_checkpoints', 'redrive', 'skip', 'cancel', 'set_limits', 'set_prefix_limit')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off '
            'SET enable_mergejoin = off SET enable_material = off SET jit = off', entry);
    END LOOP;
    -- What such calls choose is the same whatever their arguments, so that a plan may serve for all of them. (What
    -- reads events below them plans anew all the same.)
    FOR entry IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = 'vulkan'::regnamespace AND p.proname IN ('claim', 'settle', 'extend', 'look', 'complete', 'complete_many')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = force_generic_plan', entry);
    END LOOP;
END $$;

-- Every function and table is there now: what the roles of this database, if it has any, may do with them.
SELECT vulkan.grant_roles();

-- All that version 1 is made of is there now.
UPDATE vulkan.meta SET schema_version = 1, min_compatible = 1;
