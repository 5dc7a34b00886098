CREATE TABLE carriers (
    carrier      text PRIMARY KEY,
    flights      bigint NOT NULL,
    cancelled    bigint NOT NULL,
    minutes_late bigint NOT NULL
)
