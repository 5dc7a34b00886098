-- What Postgres acknowledged to the producer, as its own file has it.
SELECT consumer_group, count(*) AS messages FROM chaos.promised
GROUP BY consumer_group
