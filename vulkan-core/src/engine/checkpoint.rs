use futures::FutureExt;
use serde_json::value::RawValue;
use sqlx::types::Json;

use super::Held;
use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;

/// The largest checkpoint, in bytes of JSON: a megabyte.
pub const MAX_CHECKPOINT_LEN: usize = 1 << 20;

impl Client {
    /// Notes how far a handler came with a message it holds, for the next attempt. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the lease is lost; [`Error::Invalid`] if the value is larger than
    /// [`MAX_CHECKPOINT_LEN`]; [`Error::Database`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn save_checkpoint(&self, held: Held, value: &RawValue) -> Result<(), Error> {
        let len = value.get().len();
        if len > MAX_CHECKPOINT_LEN {
            return Err(Error::invalid(
                format!("a checkpoint of {len} bytes is more than {MAX_CHECKPOINT_LEN}"),
                "Keep large results where they belong, and a reference to them here.",
            ));
        }
        let value = value.to_owned();
        Ok(answered(self, move |connection| {
            async move {
                sqlx::query(include_str!("../../queries/save_checkpoint.sql"))
                    .bind(held.group_id)
                    .bind(held.offset)
                    .bind(held.token)
                    .bind(held.lane)
                    .bind(Json(value))
                    .execute(connection)
                    .await
                    .map(drop)
            }
            .boxed()
        })
        .await?)
    }

    /// What was noted last of a message of a group, if anything was.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn checkpoint_of(
        &self,
        group_id: i32,
        offset: i64,
    ) -> Result<Option<Box<RawValue>>, Error> {
        let value: Option<Json<Box<RawValue>>> = answered(self, move |connection| {
            sqlx::query_scalar(include_str!("../../queries/checkpoint_of.sql"))
                .bind(group_id)
                .bind(offset)
                .fetch_one(connection)
                .boxed()
        })
        .await?;
        Ok(value.map(|Json(value)| value))
    }
}
