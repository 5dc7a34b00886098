CREATE TABLE raw_events (LIKE vulkan.events INCLUDING ALL);
CREATE SEQUENCE raw_seq;
ALTER TABLE raw_events ALTER "offset" SET DEFAULT nextval('raw_seq');
