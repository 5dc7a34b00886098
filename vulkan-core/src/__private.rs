pub use std::borrow::Cow;

pub use serde::Serialize;

pub use crate::event::{Event, PartitionKey};

use crate::error::Error;
use crate::publish::Message;

/// [`Client::publish_in`](crate::Client::publish_in) for who has no client at hand.
pub async fn publish_in<'e>(
    executor: impl sqlx::PgExecutor<'e>,
    message: Message,
) -> Result<i64, Error> {
    crate::publish::publish(executor, &message).await
}
