SELECT applied, standing_version, differences FROM vulkan.declare_options($1, $2, $3, version => $4, worker => $5)
