-- And these had their effect more than once: two e-mails, or two payments.
SELECT consumer_group, count(*) AS messages
FROM (SELECT consumer_group, "offset" FROM chaos.effects
      GROUP BY consumer_group, "offset" HAVING count(*) > 1) twice
GROUP BY consumer_group
