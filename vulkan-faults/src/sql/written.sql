SELECT id FROM business
