-- Acknowledged, and neither owed nor dead, nor done with an effect to show.
SELECT g.name AS consumer_group, count(*) AS messages
FROM chaos.acked a CROSS JOIN vulkan.groups g LEFT JOIN vulkan.deliveries d
    ON d.consumer_group = g.name AND d.event_offset = a."offset"
WHERE d.status IS NULL OR d.status = 'done' AND NOT EXISTS (
    SELECT FROM chaos.effects e
    WHERE e.consumer_group = g.name AND e."offset" = a."offset")
GROUP BY g.name
