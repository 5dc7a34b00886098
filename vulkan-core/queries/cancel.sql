SELECT vulkan.cancel($1, $2, $3, reason => $4, dry_run => $5)
