-- $1: stream, $2: kind, $3: from, $4: how many, $5: number of keys (0: none), $6: percent of messages on one key, $7: note
SELECT count(*)
FROM (
    SELECT array_agg($2::text) AS kinds,
           array_agg(jsonb_strip_nulls(jsonb_build_object('id', m.id, 'key', m.key, 'note', $7::text))) AS payloads,
           array_agg('k' || m.key) AS keys
    FROM (SELECT i AS id,
                 CASE WHEN i % 100 < $6::integer THEN 0 WHEN $5::integer > 0 THEN 1 + i % $5::integer END AS key
          FROM generate_series($3::bigint, $3::bigint + $4::bigint - 1) i) m
) b
CROSS JOIN LATERAL vulkan.publish_many($1, b.kinds, b.payloads, CASE WHEN $5::integer > 0 OR $6::integer > 0 THEN b.keys END)
