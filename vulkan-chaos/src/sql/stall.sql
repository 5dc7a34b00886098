-- The publisher whose open transaction holds the last stable offset back.
SELECT h.pid, extract(epoch FROM h.age)::float8 AS seconds,
       (SELECT count(*) FROM vulkan.events e
        WHERE e."offset" > h.floor) AS behind
FROM vulkan.lso_holders h WHERE h.stream = 'orders' AND h.age > interval '1 s'
ORDER BY h.floor LIMIT 1
