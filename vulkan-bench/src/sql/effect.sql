INSERT INTO effects (id, note) VALUES ($1, $2)
