SELECT cursor_was, cursor_is, again, passed_over, fenced, forgotten
FROM vulkan.replay($1, $2, to_offset => $3, to_time => $4, to_position => $5, to_group => $6, dry_run => $7)
