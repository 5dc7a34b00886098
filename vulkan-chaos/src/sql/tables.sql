CREATE SCHEMA chaos;
-- The ledgers, as they are read: the producer's, and those of the worker processes.
CREATE TABLE chaos.acked ("order" bigint PRIMARY KEY, "offset" bigint NOT NULL);
CREATE TABLE chaos.handled (ledger text, line bigint, consumer_group text NOT NULL, "offset" bigint NOT NULL, attempt integer NOT NULL,
    PRIMARY KEY (ledger, line));
CREATE INDEX ON chaos.handled (consumer_group, "offset");
-- What the handlers of payments write in their transactions. Nothing here would refuse a second payment.
CREATE TABLE chaos.payments ("offset" bigint NOT NULL, "order" bigint NOT NULL, booked_by integer NOT NULL DEFAULT pg_backend_pid());
CREATE INDEX ON chaos.payments ("offset");
-- What was done for a message, in the world outside or in the database: once for each row.
CREATE VIEW chaos.effects AS
SELECT 'emails' AS consumer_group, "offset" FROM chaos.handled WHERE consumer_group = 'emails'
UNION ALL
SELECT 'payments', "offset" FROM chaos.payments;
