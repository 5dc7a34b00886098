SELECT * FROM vulkan.publish_many($1, $2, $3, $4, $5,
    CASE WHEN $7::interval[] IS NULL THEN $6::timestamptz[] ELSE ARRAY(
        SELECT coalesce(u.deliver_at, clock_timestamp() + u.delay)
        FROM unnest($6::timestamptz[], $7::interval[]) WITH ORDINALITY AS u(deliver_at, delay, nth) ORDER BY u.nth) END,
    $8, $9)
