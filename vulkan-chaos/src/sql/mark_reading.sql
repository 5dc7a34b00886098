UPDATE chaos.reading SET at = clock_timestamp()
