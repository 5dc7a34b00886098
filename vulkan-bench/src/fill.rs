//! A backlog, published by the server itself.

use crate::Result;
use crate::order::{KIND, NOTE, STREAM};
use crate::server::Database;

const CHUNK: u64 = 20_000;

/// What a backlog consists of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backlog {
    pub(crate) messages: u64,
    /// How many partition keys take turns. 0: messages without keys.
    pub(crate) keys: u32,
    /// How many of a hundred messages are on one more key, number 0.
    pub(crate) hot_percent: u32,
}

impl Backlog {
    pub(crate) fn of(messages: u64) -> Self {
        Self {
            messages,
            ..Self::default()
        }
    }

    pub(crate) fn keyed(messages: u64, keys: u32) -> Self {
        Self {
            keys,
            ..Self::of(messages)
        }
    }

    /// Publishes it, and leaves the database at rest.
    pub(crate) async fn fill(self, database: &Database) -> Result<()> {
        let mut from = 0;
        while from < self.messages {
            let many = CHUNK.min(self.messages - from);
            sqlx::query(include_str!("sql/fill.sql"))
                .bind(STREAM)
                .bind(KIND)
                .bind(i64::try_from(from)?)
                .bind(i64::try_from(many)?)
                .bind(i32::try_from(self.keys)?)
                .bind(i32::try_from(self.hot_percent)?)
                .bind(NOTE)
                .execute(&database.pool)
                .await?;
            from += many;
        }
        database.settle().await
    }
}
