-- In the order of the carriers, lest two transactions wait for each other.
INSERT INTO carriers AS c (carrier, flights, cancelled, minutes_late)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
ON CONFLICT (carrier) DO UPDATE
    SET flights = c.flights + EXCLUDED.flights, cancelled = c.cancelled + EXCLUDED.cancelled,
        minutes_late = c.minutes_late + EXCLUDED.minutes_late
