DO $$
BEGIN
    IF to_regnamespace('vulkan') IS NULL THEN
        CREATE SCHEMA vulkan;
    END IF;
EXCEPTION WHEN duplicate_schema OR unique_violation THEN
    NULL; -- Somebody else made it meanwhile.
END $$
