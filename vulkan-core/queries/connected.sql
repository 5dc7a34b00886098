-- Safety nets: no call of ours leaves a transaction open; and a call whose client has gone away, which waits for a lock, is not
-- carried out once it gets it. (A server on Windows cannot tell.) A connection that falls silent is given up for dead by the
-- server, too: with an answer that nobody takes after twenty seconds, as its client waits for one, and idle by keepalives. Left
-- to itself the kernel takes a quarter of an hour for the one, with all locks held, and two hours for the other.
SELECT set_config('idle_in_transaction_session_timeout', '60s', false),
       CASE WHEN current_setting('dynamic_shared_memory_type') <> 'windows' THEN set_config('client_connection_check_interval', '5s', false) END,
       CASE WHEN current_setting('dynamic_shared_memory_type') <> 'windows' THEN set_config('tcp_user_timeout', '20s', false) END,
       set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '5', false)
