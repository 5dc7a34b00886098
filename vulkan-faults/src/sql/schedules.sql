SELECT vulkan.create_stream('ticks');
SELECT vulkan.put_schedule('every', 'ticks', 'tick.made', '{}', every => interval '1 s', missed => 'all');
SELECT vulkan.put_schedule('cron', 'ticks', 'tick.made', '{}', cron => '* * * * * *', missed => 'all');
