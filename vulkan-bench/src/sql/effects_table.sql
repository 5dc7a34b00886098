CREATE TABLE effects (nth bigserial PRIMARY KEY, id bigint NOT NULL, note text NOT NULL)
