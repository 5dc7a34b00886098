-- One row per (group, message), whatever holds its state.

CREATE VIEW vulkan.lane_pending AS
SELECT l.group_id, g.stream_id, l.key_hash, e."offset", x.attempts, x.last_error, x.updated_at, l.worker, l.claimed_at, l.lease_until,
       l.status = 'processing' AND l.straggler IS NULL AND e."offset" <= l.through AS in_run,
       greatest(x.run_at, e.deliver_at, e.created_at) AS run_at, e.created_at
FROM vulkan.lanes l
JOIN vulkan.groups g ON g.group_id = l.group_id
JOIN vulkan.events e ON e.stream_id = g.stream_id AND hashtextextended(e.partition_key, 0) = l.key_hash AND e.partition_key IS NOT NULL
    AND e."offset" > l.head AND e."offset" <= vulkan.cursor_of(l.group_id)
LEFT JOIN vulkan.exceptions x ON x.group_id = l.group_id AND x."offset" = e."offset"
WHERE coalesce(x.status, 'ready') = 'ready'
  AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers));
COMMENT ON VIEW vulkan.lane_pending IS 'Internal. The messages of lanes that are not resolved yet, stragglers apart.';

-- Each branch has a constant status: a filter on status leaves the planner only the branches it needs.
CREATE VIEW vulkan.deliveries AS
SELECT s.name AS stream, g.name AS consumer_group, d.event_offset, d.status, d.attempts, g.max_attempts, d.last_error,
       d.run_at, d.worker, d.claimed_at, d.lease_until, d.updated_at
FROM (
    SELECT x.group_id, x."offset" AS event_offset, 'ready' AS status, x.attempts, x.last_error, x.run_at,
           NULL::text AS worker, x.claimed_at, x.lease_until, x.updated_at
    FROM vulkan.exceptions x WHERE x.status = 'ready' AND x.lane IS NULL
    UNION ALL
    SELECT x.group_id, x."offset", 'processing', x.attempts, x.last_error, x.run_at, x.worker, x.claimed_at, x.lease_until, x.updated_at
    FROM vulkan.exceptions x WHERE x.status = 'processing'
    UNION ALL
    SELECT x.group_id, x."offset", 'dead', x.attempts, x.last_error, NULL, x.worker, x.claimed_at, NULL, x.updated_at
    FROM vulkan.exceptions x WHERE x.status = 'dead'
    UNION ALL
    SELECT x.group_id, x."offset", 'done', x.attempts, x.last_error, NULL, x.worker, x.claimed_at, NULL, x.updated_at
    FROM vulkan.exceptions x WHERE x.status = 'done'
    UNION ALL
    -- Keyed: waiting behind its key, or in the run handed out.
    SELECT p.group_id, p."offset", 'ready', coalesce(p.attempts, 0), p.last_error, p.run_at, NULL, NULL, NULL, coalesce(p.updated_at, p.created_at)
    FROM vulkan.lane_pending p WHERE NOT p.in_run
    UNION ALL
    SELECT p.group_id, p."offset", 'processing', coalesce(p.attempts, 0) + 1, p.last_error, NULL, p.worker, p.claimed_at, p.lease_until, p.claimed_at
    FROM vulkan.lane_pending p WHERE p.in_run
    UNION ALL
    -- Keyed and redriven, below its lane's head.
    SELECT x.group_id, x."offset", 'ready', x.attempts, x.last_error, x.run_at, NULL, x.claimed_at, NULL, x.updated_at
    FROM vulkan.exceptions x JOIN vulkan.lanes l ON l.group_id = x.group_id AND l.key_hash = x.lane
    WHERE x.status = 'ready' AND x.lane IS NOT NULL AND x."offset" <= l.head AND x."offset" IS DISTINCT FROM l.straggler
    UNION ALL
    SELECT x.group_id, x."offset", 'processing', x.attempts + 1, x.last_error, NULL, l.worker, l.claimed_at, l.lease_until, l.claimed_at
    FROM vulkan.exceptions x JOIN vulkan.lanes l ON l.group_id = x.group_id AND l.key_hash = x.lane
    WHERE x.status = 'ready' AND x.lane IS NOT NULL AND x."offset" <= l.head AND x."offset" = l.straggler
    UNION ALL
    -- At its first attempt, in an open claim.
    SELECT c.group_id, e."offset", 'processing', 1, NULL, NULL, c.worker, c.claimed_at, c.lease_until, c.claimed_at
    FROM vulkan.claims c JOIN vulkan.groups g ON g.group_id = c.group_id
    JOIN vulkan.events e ON e.stream_id = g.stream_id AND e."offset" > c.lo AND e."offset" <= c.hi
    WHERE c.settled_at IS NULL AND c.origin = 'claim' AND e.partition_key IS NULL
      AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
      AND NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = c.group_id AND x."offset" = e."offset")
    UNION ALL
    -- Done at its first attempt: no row of its own, a range says it. Looked up for each event: a join by range would compare each with all.
    SELECT c.group_id, e."offset", 'done', 1, NULL, NULL, coalesce(r.worker, c.worker), coalesce(r.claimed_at, c.claimed_at), NULL,
           coalesce(r.settled_at, c.settled_at, c.claimed_at)
    FROM vulkan.groups g
    JOIN vulkan.events e ON e.stream_id = g.stream_id
    CROSS JOIN LATERAL (SELECT y.* FROM vulkan.claims y WHERE y.group_id = g.group_id AND y.hi >= e."offset" ORDER BY y.hi LIMIT 1) c
    LEFT JOIN LATERAL (
        SELECT r.* FROM vulkan.runs r
        WHERE r.group_id = c.group_id AND r.key_hash = hashtextextended(e.partition_key, 0) AND r.hi >= e."offset"
        ORDER BY r.hi LIMIT 1) r ON r.lo < e."offset"
    WHERE c.lo < e."offset" AND c.origin <> 'seek' AND g.mode = 'lifecycle' AND (c.settled_at IS NOT NULL OR e.partition_key IS NOT NULL)
      AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
      AND NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = c.group_id AND x."offset" = e."offset")
      AND NOT EXISTS (SELECT FROM vulkan.lanes l WHERE l.group_id = c.group_id
                      AND l.key_hash = hashtextextended(e.partition_key, 0) AND l.head < e."offset")
    UNION ALL
    -- Above the cursor: not handed out yet. OFFSET 0 keeps the cursor from being asked for again with each event of the log.
    SELECT g.group_id, e."offset", 'ready', 0, NULL, coalesce(e.deliver_at, e.created_at), NULL, NULL, NULL, e.created_at
    FROM vulkan.groups g
    CROSS JOIN LATERAL (SELECT vulkan.cursor_of(g.group_id) AS cursor OFFSET 0) c
    JOIN vulkan.events e ON e.stream_id = g.stream_id AND e."offset" > c.cursor
    WHERE g.mode = 'lifecycle'
      AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
      AND NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" = e."offset")
) d
JOIN vulkan.groups g ON g.group_id = d.group_id
JOIN vulkan.streams s ON s.stream_id = g.stream_id;
COMMENT ON VIEW vulkan.deliveries IS 'The lifecycle: one row per (consumer group, message), status ready, processing, done or dead. Join vulkan.events on "offset" = event_offset for the message itself. Filter by status, and by consumer_group, for speed.';

CREATE FUNCTION vulkan.status_in(g vulkan.groups, event_offset bigint, kind text, headers jsonb, partition_key text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN g.mode <> 'lifecycle' THEN NULL
        WHEN x.status IN ('done', 'dead', 'processing') THEN x.status
        WHEN NOT vulkan.is_message(g.group_id, event_offset, kind, headers) THEN NULL
        WHEN event_offset > vulkan.cursor_of(g.group_id) THEN 'ready'
        WHEN l.status = 'processing' AND event_offset = coalesce(l.straggler, event_offset)
             AND (l.straggler IS NOT NULL OR event_offset > l.head AND event_offset <= l.through) THEN 'processing'
        WHEN x.status = 'ready' OR event_offset > l.head THEN 'ready'
        WHEN c.origin = 'seek' THEN NULL
        WHEN c.settled_at IS NULL AND partition_key IS NULL THEN 'processing'
        ELSE 'done' END
    FROM (VALUES (1)) one
    LEFT JOIN vulkan.exceptions x ON x.group_id = g.group_id AND x."offset" = event_offset
    LEFT JOIN vulkan.lanes l ON l.group_id = g.group_id AND l.key_hash = hashtextextended(partition_key, 0)
    LEFT JOIN LATERAL (SELECT y.origin, y.settled_at FROM vulkan.claims y
                       WHERE y.group_id = g.group_id AND y.hi >= event_offset ORDER BY y.hi LIMIT 1) c ON true
$$;
COMMENT ON FUNCTION vulkan.status_in(vulkan.groups, bigint, text, jsonb, text) IS 'Internal. The status of one event in one group, as vulkan.deliveries has it, by point look-ups; NULL if it is no message of the group.';

CREATE FUNCTION vulkan.inspect(event_offset bigint)
RETURNS TABLE (stream text, consumer_group text, status text, attempts integer, max_attempts integer, last_error text,
               run_at timestamptz, worker text, claimed_at timestamptz, lease_until timestamptz, updated_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT s.name, g.name, i.status,
           CASE WHEN i.status = 'ready' AND x.attempts IS NULL THEN 0
                ELSE coalesce(x.attempts + (i.status = 'processing' AND x.status = 'ready')::integer, 1) END,
           g.max_attempts, x.last_error,
           CASE WHEN i.status = 'ready' THEN greatest(x.run_at, e.deliver_at, e.created_at) END,
           CASE WHEN i.status = x.status OR i.status = 'ready' THEN CASE WHEN i.status <> 'ready' THEN x.worker END
                WHEN i.status = 'processing' THEN coalesce(l.worker, c.worker) ELSE coalesce(r.worker, c.worker) END,
           CASE WHEN i.status = x.status OR i.status = 'ready' THEN x.claimed_at
                WHEN i.status = 'processing' THEN coalesce(l.claimed_at, c.claimed_at) ELSE coalesce(r.claimed_at, c.claimed_at) END,
           CASE WHEN i.status <> 'processing' THEN NULL WHEN i.status = x.status THEN x.lease_until
                ELSE coalesce(l.lease_until, c.lease_until) END,
           coalesce(x.updated_at, r.settled_at, c.settled_at, e.created_at)
    FROM vulkan.events e
    JOIN vulkan.groups g ON g.stream_id = e.stream_id
    JOIN vulkan.streams s ON s.stream_id = e.stream_id
    CROSS JOIN LATERAL vulkan.status_in(g, e."offset", e.kind, e.headers, e.partition_key) i(status)
    LEFT JOIN vulkan.exceptions x ON x.group_id = g.group_id AND x."offset" = e."offset"
    LEFT JOIN vulkan.lanes l ON l.group_id = g.group_id AND l.key_hash = hashtextextended(e.partition_key, 0)
    LEFT JOIN LATERAL (SELECT y.* FROM vulkan.runs y WHERE y.group_id = g.group_id
                       AND y.key_hash = hashtextextended(e.partition_key, 0) AND y.hi >= e."offset" ORDER BY y.hi LIMIT 1) r ON r.lo < e."offset"
    LEFT JOIN LATERAL (SELECT y.* FROM vulkan.claims y WHERE y.group_id = g.group_id
                       AND y.hi >= e."offset" ORDER BY y.hi LIMIT 1) c ON true
    WHERE e."offset" = inspect.event_offset AND i.status IS NOT NULL
    ORDER BY g.name
$$;
COMMENT ON FUNCTION vulkan.inspect(bigint) IS 'One message in all lifecycle groups of its stream: where it stands, by point look-ups.';
