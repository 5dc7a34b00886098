-- And these had their effect more than once: two e-mails, or two payments.
SELECT consumer_group, count(*) AS messages
FROM (SELECT consumer_group, event_offset FROM chaos.effects
      GROUP BY consumer_group, event_offset HAVING count(*) > 1) twice
GROUP BY consumer_group
