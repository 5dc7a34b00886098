//! One event, published with the options that a test cares about.

use serde_json::{Value, json};
use sqlx::PgExecutor;

/// An event on stream `orders`, unless said otherwise.
#[derive(Clone)]
pub(crate) struct Publish {
    stream: &'static str,
    kind: String,
    payload: Value,
    key: Option<String>,
    headers: Option<Value>,
    /// Seconds from now.
    delay: Option<f64>,
    dedup_id: Option<String>,
}

impl Publish {
    pub(crate) fn new(kind: &str) -> Self {
        Self {
            stream: "orders",
            kind: kind.into(),
            payload: json!({}),
            key: None,
            headers: None,
            delay: None,
            dedup_id: None,
        }
    }

    /// An event with a partition key.
    pub(crate) fn keyed(key: &str) -> Self {
        Self::new("order.created").key(key)
    }

    pub(crate) fn to(self, stream: &'static str) -> Self {
        Self { stream, ..self }
    }

    pub(crate) fn key(self, key: &str) -> Self {
        let key = Some(key.into());
        Self { key, ..self }
    }

    pub(crate) fn payload(self, payload: Value) -> Self {
        Self { payload, ..self }
    }

    pub(crate) fn headers(self, headers: Value) -> Self {
        let headers = Some(headers);
        Self { headers, ..self }
    }

    pub(crate) fn delayed(self, seconds: f64) -> Self {
        let delay = Some(seconds);
        Self { delay, ..self }
    }

    pub(crate) fn dedup(self, id: &str) -> Self {
        let dedup_id = Some(id.into());
        Self { dedup_id, ..self }
    }

    /// Publishes it and returns its offset.
    pub(crate) async fn send(&self, executor: impl PgExecutor<'_>) -> i64 {
        self.try_send(executor).await.unwrap()
    }

    pub(crate) async fn try_send(&self, executor: impl PgExecutor<'_>) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "SELECT vulkan.publish($1, $2, $3, $4, $5,
                 clock_timestamp() + make_interval(secs => $6), $7)",
        )
        .bind(self.stream)
        .bind(&self.kind)
        .bind(&self.payload)
        .bind(&self.key)
        .bind(&self.headers)
        .bind(self.delay)
        .bind(&self.dedup_id)
        .fetch_one(executor)
        .await
    }
}
