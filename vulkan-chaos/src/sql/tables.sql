CREATE SCHEMA chaos;
-- The ledgers, as they are read: the producer's, and those of the worker processes.
CREATE TABLE chaos.acked (order_id bigint PRIMARY KEY, event_offset bigint NOT NULL);
CREATE TABLE chaos.handled (ledger text, line bigint, consumer_group text NOT NULL, event_offset bigint NOT NULL, attempt integer NOT NULL,
    PRIMARY KEY (ledger, line));
CREATE INDEX ON chaos.handled (consumer_group, event_offset);
-- When they were read last: what is done after that has a line that nobody has read yet.
CREATE TABLE chaos.reading (at timestamptz NOT NULL);
INSERT INTO chaos.reading VALUES (clock_timestamp());
-- What the handlers of payments write in their transactions. Nothing here would refuse a second payment.
CREATE TABLE chaos.payments (event_offset bigint NOT NULL, order_id bigint NOT NULL);
CREATE INDEX ON chaos.payments (event_offset);
-- What was promised with each acknowledgement: the message, to every group.
CREATE VIEW chaos.promised AS
SELECT g.name AS consumer_group, a.event_offset FROM chaos.acked a CROSS JOIN vulkan.groups g;
-- What was done for a message, in the world outside or in the database: once for each row. Of a message that is gone from the log
-- nothing is known to be done.
CREATE VIEW chaos.effects AS
SELECT consumer_group, event_offset FROM (
    SELECT 'emails' AS consumer_group, event_offset FROM chaos.handled WHERE consumer_group = 'emails'
    UNION ALL
    SELECT 'payments', event_offset FROM chaos.payments) done
JOIN vulkan.events e ON e."offset" = done.event_offset;
