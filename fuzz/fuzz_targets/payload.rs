//! Payloads: any JSON decodes into a type or does not, and the error does not say what was there.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use vulkan::{Delivery, HandlerError};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only decoding is of interest")]
struct Order {
    id: u64,
    total: f64,
    note: Option<String>,
    lines: Vec<(u8, i16, char)>,
    state: State,
    extra: BTreeMap<u16, Box<Self>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only decoding is of interest")]
enum State {
    Open,
    Closed { by: String },
}

/// A text that stands in the payload where no name of a field is.
const CANARY: &str = "c4n4ry";

fuzz_target!(|text: &str| {
    let texts = [text.to_owned(), format!("{{\"id\":{text},\"note\":\"{CANARY}\",\"state\":\"{CANARY}\"}}")];
    for text in texts {
        let Ok(json) = RawValue::from_string(text.clone()) else {
            continue;
        };
        let delivery = Delivery::builder(json).build();
        for error in [
            delivery.decode::<Order>().err(),
            delivery.decode::<Vec<Order>>().err(),
            delivery.decode::<State>().err(),
            delivery.decode::<u8>().err(),
            delivery.decode::<&str>().err(),
            delivery.decode::<Value>().err(),
            delivery.decode::<()>().err(),
        ]
        .into_iter()
        .flatten()
        {
            let said = format!("{error} {error:?}");
            // Its path names fields, and the keys of maps.
            if !error.path().contains(CANARY) {
                assert!(!said.contains(CANARY), "{said}");
            }
            let error = HandlerError::from(error);
            assert!(!error.message().is_empty());
        }
    }
});
