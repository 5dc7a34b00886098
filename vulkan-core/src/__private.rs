pub use std::borrow::Cow;

pub use serde::Serialize;

pub use crate::event::{Event, PartitionKey};
