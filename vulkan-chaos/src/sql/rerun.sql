-- Handlers came to the end of these more than once, as their processes say.
SELECT consumer_group, count(*) AS messages
FROM (SELECT consumer_group, event_offset FROM chaos.handled
      GROUP BY consumer_group, event_offset HAVING count(*) > 1) again
GROUP BY consumer_group
