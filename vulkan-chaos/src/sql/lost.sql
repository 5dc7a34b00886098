-- Acknowledged, and neither owed nor dead, nor done with an effect to show.
SELECT consumer_group, count(*) AS messages FROM chaos.promised
LEFT JOIN vulkan.deliveries d USING (consumer_group, event_offset)
LEFT JOIN chaos.effects e USING (consumer_group, event_offset)
WHERE d.status IS NULL OR d.status = 'done' AND e IS NULL
    AND d.updated_at <= (SELECT at FROM chaos.reading)
GROUP BY consumer_group
