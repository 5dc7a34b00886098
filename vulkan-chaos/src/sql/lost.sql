-- Acknowledged, and neither owed nor dead, nor done with an effect to show.
WITH suspects AS (TABLE chaos.promised EXCEPT TABLE chaos.effects EXCEPT SELECT
  consumer_group, event_offset FROM vulkan.deliveries WHERE status <> 'done')
SELECT consumer_group, count(*) AS messages FROM suspects s
LEFT JOIN LATERAL vulkan.inspect(s.event_offset) i USING (consumer_group)
WHERE (i.updated_at <= (SELECT at FROM chaos.reading)) IS NOT FALSE GROUP BY 1
