SELECT consumer_group, message, count(*) FROM effects GROUP BY 1, 2
