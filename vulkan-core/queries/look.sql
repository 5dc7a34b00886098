-- What is due at no finite time is due never, and has no wait.
SELECT group_id, due, pending, CASE WHEN isfinite(next_at) THEN next_at - clock_timestamp() END AS wait, limited FROM vulkan.look($1)
