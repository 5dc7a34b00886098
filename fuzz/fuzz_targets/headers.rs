//! Headers that were handed out: a trace context is read from them, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use vulkan::Delivery;

fuzz_target!(|input: (&str, &str)| {
    let (one, other) = input;
    let made = json!({"traceparent": one, "tracestate": other}).to_string();
    let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let state = json!({"traceparent": valid, "tracestate": one}).to_string();
    for headers in [one.to_owned(), made, state] {
        if let Ok(raw) = RawValue::from_string(headers.clone()) {
            vulkan_core::__private::reads_trace_context(&raw);
        }
        if let Ok(headers) = serde_json::from_str::<Map<String, Value>>(&headers) {
            let delivery = Delivery::builder_json(&1).unwrap().headers(headers).build();
            let _ = (delivery.header(one), delivery.header("traceparent"));
        }
    }
});
