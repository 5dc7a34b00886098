-- These had their effect: an e-mail in a worker's own file, or a payment.
SELECT consumer_group, count(DISTINCT event_offset) AS messages
FROM chaos.effects GROUP BY consumer_group
