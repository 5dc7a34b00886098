SELECT vulkan.resume($1, $2, dry_run => $3)
