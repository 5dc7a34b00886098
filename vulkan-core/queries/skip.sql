SELECT vulkan.skip($1, $2, $3, reason => $4, dry_run => $5)
