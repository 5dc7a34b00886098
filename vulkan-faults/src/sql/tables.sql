SELECT vulkan.create_stream('load');
-- Without a constraint, which would hide a second effect.
CREATE TABLE effects (consumer_group text, message bigint);
CREATE TABLE business (id bigint);
