-- What migrations bind to names, views and indexes above all, they bind to Postgres's own and Vulkan's, whatever else is in reach.
SELECT set_config('search_path', 'pg_catalog, vulkan, pg_temp', false)
