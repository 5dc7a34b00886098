-- A few rows for each carrier: transactions that add to the same row wait for each other's commit.
CREATE TABLE carriers (
    carrier      text,
    part         bigint,
    flights      bigint NOT NULL,
    cancelled    bigint NOT NULL,
    minutes_late bigint NOT NULL,
    PRIMARY KEY (carrier, part)
)
