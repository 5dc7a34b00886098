SELECT vulkan.redrive($1, $2, kind_pattern => $3, error_like => $4, from_offset => $5, to_offset => $6, at_most => $7, dry_run => $8)
