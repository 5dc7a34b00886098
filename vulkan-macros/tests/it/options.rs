//! Every key of the attribute reaches the options.

use std::time::Duration;

use vulkan::{Backoff, Breaker, Handler, HandlerOptions, Rate, Start, handler};

fn options(handler: &impl Handler<()>) -> HandlerOptions {
    handler.options()
}

#[handler(stream = "orders", group = "fraud")]
async fn short(_order: u64) {}

#[handler(
    stream = "orders",
    group = "fraud",
    kinds = ["order.placed", "order.*.paid"],
    retries = 0,
    backoff = "500ms..5m",
    timeout = "1m30s",
    lease = "45s",
    concurrency = 8,
    max_in_flight = 100,
    max_in_flight_per_prefix = 5,
    prefix_delimiter = "/",
    rate = "6000/m",
    burst = 20,
    breaker = "50% of 20 in 1m, pause 5s..1m, probe 2",
    start = "latest",
    name = "screen.v2",
)]
async fn long(_order: u64) {}

#[handler(stream = "orders", group = "fraud", kinds = "order.>", backoff = "2s", crate = vulkan)]
async fn r#match(_order: u64) {}

#[test]
fn defaults_are_left_to_the_group() {
    let expected = HandlerOptions::new("orders", "fraud").name("short");
    assert_eq!(options(&short {}), expected);
    assert_eq!(expected.max_attempts(), 6);
}

#[test]
fn every_key() {
    let expected = HandlerOptions::new("orders", "fraud")
        .kinds(["order.placed", "order.*.paid"])
        .retries(0)
        .backoff(Backoff::new(
            Duration::from_millis(500),
            Duration::from_secs(300),
        ))
        .timeout(Duration::from_secs(90))
        .lease(Duration::from_secs(45))
        .concurrency(8)
        .max_in_flight(100)
        .max_in_flight_per_prefix(5)
        .prefix_delimiter("/")
        .rate(Rate::new(6000, Duration::from_secs(60)))
        .burst(20)
        .breaker(Breaker {
            pause: Duration::from_secs(5),
            max_pause: Duration::from_secs(60),
            probes: 2,
            ..Breaker::DEFAULT
        })
        .start(Start::Latest)
        .name("screen.v2");
    assert_eq!(options(&long {}), expected);
    assert_eq!(expected.max_attempts(), 1);
    assert_eq!(expected.check(), Ok(()));
}

#[test]
fn short_forms_and_raw_names() {
    let expected = HandlerOptions::new("orders", "fraud")
        .kinds(["order.>"])
        .backoff(Backoff::DEFAULT)
        .name("match");
    assert_eq!(options(&r#match {}), expected);
}
