//! The limits that the client tells: what it lets through is as deep as serde_json reads, and what it refuses is not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;
use vulkan::{Error, Message};

fuzz_target!(|input: (u8, &str, &str)| {
    let (deep, text, header) = input;
    let deep = usize::from(deep);
    let nested = format!("{}{text}{}", "[".repeat(deep), "]".repeat(deep));
    for json in [text.to_owned(), nested] {
        let Ok(raw) = RawValue::from_string(json) else {
            continue;
        };
        let message = Message::new("s", "k", &raw).unwrap().header(header, text);
        match vulkan_core::__private::check_message(&message) {
            Ok(()) => {
                let read = serde_json::from_str::<Value>(raw.get());
                // Numbers and surrogates may be beyond it all the same.
                if let Err(error) = read {
                    assert!(!error.to_string().contains("recursion"), "{error}");
                }
            }
            Err(Error::Invalid(refusal)) => {
                assert!(refusal.hint.is_some());
                if refusal.message.contains("nested") {
                    let read = serde_json::from_str::<Value>(raw.get());
                    assert!(read.is_err(), "{refusal}");
                }
            }
            Err(error) => panic!("{error:?}"),
        }
    }
});
