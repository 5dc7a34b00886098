INSERT INTO carriers AS c (carrier, part, flights, cancelled, minutes_late) VALUES ($1, $2 % 16, 1, $3, $4)
ON CONFLICT (carrier, part) DO UPDATE
    SET flights = c.flights + 1, cancelled = c.cancelled + $3, minutes_late = c.minutes_late + $4
