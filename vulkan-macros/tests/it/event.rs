//! What `#[derive(Event)]` writes.

use std::borrow::Cow;

use serde::Serialize;
use vulkan::{Event, PartitionKey};

fn key(event: &impl Event) -> Option<String> {
    event.partition_key().map(Cow::into_owned)
}

#[derive(Serialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
struct Placed {
    #[event(key)]
    customer: String,
    total: u64,
}

#[derive(Serialize, Event)]
#[event(stream = "orders")]
#[event(kind = "order.paid", crate = vulkan)]
struct Paid(u64, #[event(key)] Option<u64>);

#[derive(Serialize, Event)]
#[event(stream = "orders", kind = "tick")]
struct Tick;

#[derive(Serialize, Event)]
#[event(stream = "orders", kind = "order.changed")]
#[expect(dead_code, reason = "only its names are of interest")]
enum Changed {
    Price { to: u64 },
    Address(String),
}

#[derive(Serialize, Event)]
#[event(stream = "orders", kind = "borrowed")]
struct Borrowed<'a, const N: usize> {
    #[event(key)]
    r#type: &'a str,
    sizes: [u8; 2],
}

#[derive(Serialize, Event)]
#[event(stream = "orders", kind = "wrapped")]
struct Wrapped<T, K>
where
    T: Clone,
{
    body: T,
    #[event(key)]
    key: K,
}

#[test]
fn names() {
    assert_eq!((Placed::STREAM, Placed::KIND), ("orders", "order.placed"));
    assert_eq!((Paid::STREAM, Paid::KIND), ("orders", "order.paid"));
    assert_eq!(Changed::KIND, "order.changed");
}

#[test]
fn keys() {
    let placed = Placed {
        customer: "ada".into(),
        total: 1,
    };
    assert_eq!(key(&placed).as_deref(), Some("ada"));
    assert!(matches!(placed.partition_key(), Some(Cow::Borrowed(_))));
    assert_eq!(placed.total, 1);
    assert_eq!(key(&&placed).as_deref(), Some("ada"));

    assert_eq!(key(&Paid(1, Some(7))).as_deref(), Some("7"));
    assert_eq!(key(&Paid(1, None)), None);
    assert_eq!(key(&Tick), None);
    let borrowed = Borrowed::<3> {
        r#type: "b",
        sizes: [0; 2],
    };
    assert_eq!(key(&borrowed).as_deref(), Some("b"));
}

#[test]
fn generic() {
    fn publish<T: Clone + Serialize, K: PartitionKey + Serialize>(body: T, key: K) -> String {
        self::key(&Wrapped { body, key }).unwrap()
    }
    assert_eq!(publish("body", 'k'), "k");
}
