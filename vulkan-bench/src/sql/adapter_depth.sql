-- How many messages of a group nobody has claimed, how many of those wait for another attempt that is due, and for how
-- many seconds the oldest has waited. The cost does not grow with the backlog.
--
-- Up to ten thousand are counted. Beyond, the stream has the log to itself, so it is the distance from the cursor to
-- the last offset, without the gaps between slots; what a publish that failed has used up counts until the cursor is past.
WITH g AS (
    SELECT g.group_id, g.stream_id, vulkan.cursor_of(g.group_id) AS cursor
    FROM vulkan.groups g WHERE g.group_id = vulkan.group_id($1, $2)
), last AS (
    SELECT last_value AS "offset" FROM vulkan.offset_seq
), distance AS (
    SELECT sum(greatest(0, slots.ends - greatest(slots.begins, slots.cursor))) AS messages
    FROM (
        SELECT s.slot * 1000000000 AS begins, g.cursor,
               CASE WHEN s.slot = last."offset" / 1000000000 THEN last."offset" ELSE coalesce((
                   SELECT e."offset" FROM vulkan.events e
                   WHERE e.stream_id = g.stream_id
                     AND e."offset" > s.slot * 1000000000 AND e."offset" < (s.slot + 1) * 1000000000
                   ORDER BY e."offset" DESC LIMIT 1), 0) END AS ends
        FROM g, last, generate_series(g.cursor / 1000000000, last."offset" / 1000000000) AS s(slot)
    ) slots
), counted AS (
    SELECT vulkan.lag(g.group_id, 10000) AS messages FROM g
)
SELECT CASE WHEN counted.messages < 10000 THEN counted.messages
            ELSE greatest(counted.messages, distance.messages::bigint) END AS unclaimed,
       (SELECT count(*) FROM (
           SELECT FROM vulkan.exceptions x
           WHERE x.group_id = g.group_id AND x.status = 'ready' AND x.lane IS NULL AND x.run_at <= clock_timestamp()
           LIMIT 10000) due) AS due,
       (SELECT extract(epoch FROM clock_timestamp() - e.created_at)::float8 FROM vulkan.events e
        WHERE e.stream_id = g.stream_id AND e."offset" > g.cursor
        ORDER BY e."offset" LIMIT 1) AS oldest
FROM g, counted, distance
