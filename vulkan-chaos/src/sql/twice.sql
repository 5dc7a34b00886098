-- How often handlers came to the end of a message, and how often it had its effect.
SELECT (SELECT count(*) FROM chaos.handled h WHERE h.consumer_group = $1 AND h.event_offset = $2) AS runs,
       (SELECT count(*) FROM chaos.effects e WHERE e.consumer_group = $1 AND e.event_offset = $2) AS effects
