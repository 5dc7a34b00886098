//! The clock of a history: it moves only when told to.
//!
//! It moves by whole spans, and whatever falls due does so half-way between two. So no matter how long a test really takes, as long
//! as it is less than half a span, nothing falls due in the database that is not due in the model.

/// In seconds.
pub(super) const SPAN: i64 = 1000;

/// What falls due after so many spans does so half a span later.
pub(super) fn after(spans: u8) -> i64 {
    i64::from(spans) * SPAN + SPAN / 2
}
