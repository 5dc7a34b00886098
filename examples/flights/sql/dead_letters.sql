SELECT d.last_error, count(*), min(e.payload ->> 'carrier' || (e.payload ->> 'number') || ' on ' || (e.payload ->> 'day')),
       max(d.attempts)
FROM vulkan.deliveries d JOIN vulkan.events e ON e."offset" = d.event_offset
WHERE d.consumer_group = 'aircraft' AND d.status = 'dead'
GROUP BY 1 ORDER BY 2 DESC
