SELECT carrier, sum(flights)::bigint, sum(cancelled)::bigint, sum(minutes_late)::bigint FROM carriers GROUP BY carrier
