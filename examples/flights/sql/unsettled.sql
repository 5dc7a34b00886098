SELECT lag_messages + in_flight + ready AS unsettled, consumer_group
FROM vulkan.group_overview WHERE mode = 'lifecycle'
