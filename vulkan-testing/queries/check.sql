SELECT format('invariant %s, group "%s": %s', invariant, consumer_group, detail) FROM vulkan.check()
