INSERT INTO chaos.payments ("offset", "order") VALUES ($1, $2)
