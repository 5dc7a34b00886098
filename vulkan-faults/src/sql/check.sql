SELECT format('%s in %s %s: %s', invariant, stream, consumer_group, detail) FROM vulkan.check()
