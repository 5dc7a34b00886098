INSERT INTO effects VALUES ($1, $2)
