WITH tick AS (
    SELECT e.headers->>'vulkan-schedule' AS schedule, (e.headers->>'vulkan-scheduled-at')::timestamptz AS due, e.created_at
    FROM vulkan.events e JOIN vulkan.streams s ON s.stream_id = e.stream_id WHERE s.name = 'ticks'
)
SELECT t.schedule, count(*), count(*) - count(DISTINCT t.due),
       round(extract(epoch FROM max(t.due) - min(t.due)))::bigint + 1 - count(DISTINCT t.due),
       extract(epoch FROM min(t.created_at - t.due))::float8, extract(epoch FROM max(t.created_at - t.due))::float8
FROM tick t GROUP BY 1 ORDER BY 1
