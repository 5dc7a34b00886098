SELECT set_config('role', r.rolname, false)
FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
WHERE n.nspname = 'vulkan' AND r.rolname <> current_user
  AND pg_has_role(current_user, r.oid, CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)
