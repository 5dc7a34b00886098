INSERT INTO chaos.handled (ledger, line, consumer_group, event_offset, attempt)
SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::integer[]) ON CONFLICT DO NOTHING
