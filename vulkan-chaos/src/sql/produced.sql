-- What Postgres acknowledged to the producer, as its own file has it.
SELECT g.name AS consumer_group, (SELECT count(*) FROM chaos.acked) AS messages
FROM vulkan.groups g
