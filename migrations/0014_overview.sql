-- What operators look at first: each group at a glance, and the keys that wait.

CREATE FUNCTION vulkan.lag(group_id integer, at_most bigint DEFAULT 1000000) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    g vulkan.groups;
BEGIN
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = lag.group_id;
    RETURN vulkan.count_messages(g, vulkan.cursor_of(g.group_id), 9223372036854775807, at_most);
END $$;
COMMENT ON FUNCTION vulkan.lag(integer, bigint) IS 'The messages above a group''s cursor. Counted up to at_most; a result equal to it means at least so many.';

CREATE FUNCTION vulkan.group_backlog(stream text, consumer_group text) RETURNS bigint
LANGUAGE sql AS $$
    SELECT vulkan.lag(g.group_id, 100000)
         + (SELECT count(*) FROM (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x.status = 'ready'
                                  AND x.lane IS NULL AND x.run_at <= clock_timestamp() LIMIT 100000) due)
         + (SELECT count(*) FROM (SELECT FROM vulkan.lanes l WHERE l.group_id = g.group_id AND l.status = 'ready'
                                  AND l.run_at <= clock_timestamp() LIMIT 100000) due)
    FROM vulkan.groups g WHERE g.group_id = vulkan.group_id(stream, consumer_group)
$$;
COMMENT ON FUNCTION vulkan.group_backlog(text, text) IS 'How much a group could hand out now: messages above the cursor, due retries, and keys with due messages (each counts one). One cheap number for autoscalers; each part is counted up to 100,000.';

CREATE VIEW vulkan.blocked_keys AS
SELECT g.group_id, s.name AS stream, g.name AS consumer_group, l.key_hash, e.partition_key, x."offset" AS head,
       CASE WHEN l.status = 'blocked' THEN 'dead' ELSE 'backoff' END AS reason,
       CASE WHEN l.status = 'ready' THEN l.run_at END AS until, x.attempts, x.last_error
FROM vulkan.lanes l
JOIN vulkan.groups g ON g.group_id = l.group_id
JOIN vulkan.streams s ON s.stream_id = g.stream_id
JOIN LATERAL (SELECT y.* FROM vulkan.exceptions y
    WHERE y.group_id = l.group_id AND y.lane = l.key_hash AND y."offset" > l.head
      AND y.status = CASE WHEN l.status = 'blocked' THEN 'dead' ELSE 'ready' END
    ORDER BY y."offset" LIMIT 1) x ON true
JOIN vulkan.events e ON e.stream_id = g.stream_id AND e."offset" = x."offset"
WHERE l.status = 'blocked' OR (l.status = 'ready' AND l.run_at > clock_timestamp());
COMMENT ON VIEW vulkan.blocked_keys IS 'The partition keys whose next message holds the others back: it waits for its retry (backoff), or is dead in a group that blocks on dead messages (dead). head is that message.';

CREATE VIEW vulkan.group_overview AS
SELECT s.name AS stream, g.name AS consumer_group, g.mode, g.paused_at, c.cursor, h.lso,
       lag.messages AS lag_messages,
       CASE WHEN first.created_at IS NULL THEN interval '0' ELSE clock_timestamp() - first.created_at END AS lag,
       flight.messages AS in_flight,
       CASE WHEN g.mode = 'lifecycle' THEN lag.messages + waiting.messages + keyed.messages ELSE lag.messages END AS ready,
       dead.messages AS dead,
       least(first.created_at, flight.oldest, waiting.oldest, keyed.oldest) AS oldest_unfinished,
       blocked.keys AS blocked_keys, blocked.heads AS blocked_heads,
       holders.pids AS lso_held_by,
       CASE WHEN b.state = 'open' AND b.until <= clock_timestamp() THEN 'half-open' ELSE b.state END AS breaker, b.until AS breaker_until
FROM vulkan.groups g
JOIN vulkan.streams s ON s.stream_id = g.stream_id
LEFT JOIN vulkan.breakers b ON b.group_id = g.group_id
CROSS JOIN LATERAL (SELECT vulkan.cursor_of(g.group_id) AS cursor) c
CROSS JOIN LATERAL vulkan.horizon(g.stream_id) h
CROSS JOIN LATERAL (SELECT vulkan.lag(g.group_id) AS messages) lag
LEFT JOIN LATERAL (SELECT e.created_at FROM vulkan.events e
    WHERE e.stream_id = g.stream_id AND e."offset" > c.cursor
      AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
    ORDER BY e."offset" LIMIT 1) first ON true
CROSS JOIN LATERAL (SELECT count(*) AS messages, min(e.created_at) AS oldest
    FROM vulkan.deliveries d JOIN vulkan.events e ON e.stream_id = g.stream_id AND e."offset" = d.event_offset
    WHERE d.stream = s.name AND d.consumer_group = g.name AND d.status = 'processing') flight
CROSS JOIN LATERAL (SELECT count(*) AS messages, min(e.created_at) AS oldest
    FROM vulkan.exceptions x
    JOIN vulkan.events e ON e.stream_id = g.stream_id AND e."offset" = x."offset"
    LEFT JOIN vulkan.lanes l ON l.group_id = x.group_id AND l.key_hash = x.lane
    -- Keyed ones above their lane's head are counted with the lane.
    WHERE x.group_id = g.group_id AND x.status = 'ready'
      AND (x.lane IS NULL OR (x."offset" <= l.head AND x."offset" IS DISTINCT FROM l.straggler))) waiting
CROSS JOIN LATERAL (SELECT count(*) AS messages, min(p.created_at) AS oldest
    FROM (SELECT y.created_at FROM vulkan.lane_pending y WHERE y.group_id = g.group_id AND NOT y.in_run LIMIT 1000000) p) keyed
CROSS JOIN LATERAL (SELECT count(*) AS messages FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x.status = 'dead') dead
CROSS JOIN LATERAL (SELECT count(*) AS keys, (array_agg(b.head ORDER BY b.head))[1:10] AS heads
    FROM vulkan.blocked_keys b WHERE b.group_id = g.group_id) blocked
CROSS JOIN LATERAL (SELECT array_agg(f.pid) AS pids FROM vulkan.floors(g.stream_id, (SELECT last_value FROM vulkan.offset_seq)) f) holders;
COMMENT ON VIEW vulkan.group_overview IS 'Each group at a glance. lag_messages and lag: what lies above the cursor (counted up to a million) and the age of the oldest of it. in_flight, ready, dead: messages by status. oldest_unfinished: when the oldest message that is neither done nor dead was published. blocked_keys: see vulkan.blocked_keys; blocked_heads: the first ten. lso_held_by: pids of the publishers that hold the last stable offset back; see vulkan.lso_holders. breaker: closed, open (nothing is handed out before breaker_until) or half-open (probes are); NULL without one.';

CREATE FUNCTION vulkan.is_drained(stream text, consumer_group text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    g vulkan.groups;
BEGIN
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = vulkan.group_id(stream, consumer_group);
    RETURN NOT vulkan.has_events(g.stream_id, vulkan.cursor_of(g.group_id), 9223372036854775807)
        AND NOT EXISTS (SELECT FROM vulkan.claims c WHERE c.group_id = g.group_id AND c.settled_at IS NULL)
        AND NOT EXISTS (SELECT FROM vulkan.lanes l WHERE l.group_id = g.group_id AND l.status = 'ready')
        AND NOT EXISTS (SELECT FROM vulkan.lanes l WHERE l.group_id = g.group_id AND l.status = 'parked')
        AND NOT EXISTS (SELECT FROM vulkan.lanes l WHERE l.group_id = g.group_id AND l.status = 'processing')
        AND NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x.status = 'ready')
        AND NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x.status = 'processing');
END $$;
COMMENT ON FUNCTION vulkan.is_drained(text, text) IS 'Whether every message of a lifecycle group is done or dead, or waits behind a dead one that blocks its key. Cheap, however long the backlog.';
