SELECT vulkan.pause($1, $2, dry_run => $3)
