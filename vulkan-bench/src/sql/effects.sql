INSERT INTO effects (id, note) SELECT * FROM unnest($1::bigint[], $2::text[])
