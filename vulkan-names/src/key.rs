/// A key of an attribute such as `#[handler(..)]`, and a value as an example of its form.
///
/// The macros, which read attributes, and the worker, which reads the same keys at run time, share this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The name.
    pub name: &'static str,
    /// A value as it is written in an attribute. Empty if the key stands alone.
    pub example: &'static str,
}

impl Key {
    /// A key of this name.
    pub const fn new(name: &'static str, example: &'static str) -> Self {
        Self { name, example }
    }
}

/// The keys of `#[handler(..)]`, in the order in which they are listed to those who wrote another.
///
/// All but the last two can be given at run time, too.
pub const HANDLER_KEYS: &[Key] = &[
    Key::new("stream", r#""orders""#),
    Key::new("group", r#""fraud""#),
    Key::new("kinds", r#"["order.placed", "order.*.paid"]"#),
    Key::new("retries", "5"),
    Key::new("backoff", r#""2s..5m""#),
    Key::new("timeout", r#""30s""#),
    Key::new("lease", r#""30s""#),
    Key::new("concurrency", "8"),
    Key::new("batch", "100"),
    Key::new("priority", "10"),
    Key::new("weight", "4"),
    Key::new("max_in_flight", "100"),
    Key::new("max_in_flight_per_prefix", "5"),
    Key::new("prefix_delimiter", r#"":""#),
    Key::new("rate", r#""100/s""#),
    Key::new("burst", "20"),
    Key::new("breaker", r#""50% of 20 in 1m, pause 30s""#),
    Key::new("start", r#""latest""#),
    Key::new("name", r#""screen""#),
    Key::new("crate", "::vulkan"),
];
