//! Options from a file: any JSON is a set of overrides, or is refused with words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vulkan::Overrides;

fuzz_target!(|text: &str| {
    for text in [text.to_owned(), format!("{{\"h\": {text}}}")] {
        if let Err(error) = serde_json::from_str::<Overrides>(&text) {
            assert!(!error.to_string().is_empty());
        }
    }
});
