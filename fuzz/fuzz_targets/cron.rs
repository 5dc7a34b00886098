//! Cron expressions and time zones: a good one comes next above any time, or never.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use vulkan::{Cron, Message, Schedule};

fuzz_target!(|input: (&str, &str, u32)| {
    let (expression, zone, after) = input;
    for zone in ["UTC", zone] {
        let parsed = Cron::new(expression, zone);
        let message = Message::new("s", "k", &1).unwrap();
        let schedule = Schedule::cron("s", expression).time_zone(zone).event(message);
        assert_eq!(schedule.check().is_ok(), parsed.is_ok());
        match parsed {
            Ok(cron) => {
                let after = (UNIX_EPOCH + Duration::from_secs(after.into())).into();
                if let Some(next) = cron.next_after(after) {
                    assert!(next > after);
                }
            }
            Err(error) => drop(error.to_string()),
        }
    }
});
