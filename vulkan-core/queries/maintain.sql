SELECT partitions_made, slot_rolled, dedup_expired FROM vulkan.maintain()
