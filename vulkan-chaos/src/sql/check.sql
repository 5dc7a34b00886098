SELECT format('rule %s of the engine does not hold in %s: %s', invariant, consumer_group, detail) FROM vulkan.check()
