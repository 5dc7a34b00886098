-- No call of ours leaves a transaction open, nor an answer unread: this is for connections that fall silent in the middle of
-- one. The server would wait for them until the kernel gives them up, a quarter of an hour or more, with all locks held.
SELECT set_config('idle_in_transaction_session_timeout', '60s', false),
       set_config('tcp_user_timeout', '20s', false),
       set_config('tcp_keepalives_idle', '30', false),
       set_config('tcp_keepalives_interval', '5', false)
