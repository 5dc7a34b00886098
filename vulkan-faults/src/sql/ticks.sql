WITH tick AS (
    SELECT e.created_at, e.headers, e.created_at - lag(e.created_at) OVER (ORDER BY e."offset") AS gap
    FROM vulkan.events e JOIN vulkan.streams s ON s.stream_id = e.stream_id WHERE s.name = 'ticks'
)
SELECT count(*), count(*) - count(DISTINCT t.headers), coalesce(extract(epoch FROM max(t.gap)), 0)::float8 FROM tick t
