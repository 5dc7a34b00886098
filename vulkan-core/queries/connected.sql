-- Safety nets: no call of ours leaves a transaction open; and a call whose client has gone away, which waits for a lock, is not
-- carried out once it gets it. (A server on Windows cannot tell.)
SELECT set_config('idle_in_transaction_session_timeout', '60s', false),
       CASE WHEN current_setting('dynamic_shared_memory_type') <> 'windows' THEN set_config('client_connection_check_interval', '5s', false) END
