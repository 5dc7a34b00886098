use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use vulkan_core::Client;

use super::checkpoint::{self, CheckpointError, Checkpoints};
use super::delivery::Delivery;
use super::options::HandlerOptions;
use super::tx_slot::{TxSlot, TxSource};

/// Makes a [`Delivery`] to call a handler with in a test.
///
/// Every field but the payload has a value unless it is set:
///
/// | Field | Unless set |
/// |---|---|
/// | stream, group, kind | `test` |
/// | offset | 1 |
/// | key | none |
/// | attempt | 1 |
/// | max_attempts | 6, as with the default of five retries |
/// | headers | none |
/// | published_at | now |
/// | cancellation | a token that nobody cancels |
/// | client | none: a [`Tx`](super::Tx) cannot begin |
/// | checkpoint | none |
///
/// # Examples
///
/// ```
/// use vulkan_worker::Delivery;
///
/// let delivery = Delivery::builder_json(&[1, 2, 3])?
///     .kind("numbers.drawn")
///     .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
///     .attempt(2)
///     .build();
/// assert_eq!(delivery.kind(), "numbers.drawn");
/// assert!(delivery.header("traceparent").is_some());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `.build()`"]
pub struct DeliveryBuilder(Delivery);

impl DeliveryBuilder {
    pub(super) fn new(payload: Box<RawValue>) -> Self {
        Self(Delivery {
            stream: "test".into(),
            group: "test".into(),
            offset: 1,
            kind: "test".into(),
            key: None,
            attempt: 1,
            max_attempts: HandlerOptions::DEFAULT_RETRIES + 1,
            headers: Map::new(),
            published_at: Utc::now(),
            payload,
            cancellation: CancellationToken::new().into(),
            held: None,
            tx: Arc::default(),
            checkpoints: Checkpoints::default(),
        })
    }

    /// The stream of the event.
    pub fn stream(mut self, stream: impl Into<Arc<str>>) -> Self {
        self.0.stream = stream.into();
        self
    }

    /// The group that is to handle it.
    pub fn group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.0.group = group.into();
        self
    }

    /// The position of the event in its stream.
    pub fn offset(mut self, offset: i64) -> Self {
        self.0.offset = offset;
        self
    }

    /// What happened.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.0.kind = kind.into();
        self
    }

    /// The partition key. Leave it out for an event without one.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.key = Some(key.into());
        self
    }

    /// Which attempt this is, of which the first is 1.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.0.attempt = attempt;
        self
    }

    /// The attempt after which an error leaves the delivery dead.
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.0.max_attempts = max_attempts;
        self
    }

    /// All headers, in place of those set so far.
    pub fn headers(mut self, headers: Map<String, Value>) -> Self {
        self.0.headers = headers;
        self
    }

    /// One more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.headers.insert(name.into(), value.into());
        self
    }

    /// When the event was published.
    pub fn published_at(mut self, published_at: DateTime<Utc>) -> Self {
        self.0.published_at = published_at;
        self
    }

    /// The token that tells the handler to stop.
    pub fn cancellation_token(mut self, token: CancellationToken) -> Self {
        self.0.cancellation = token.into();
        self
    }

    /// The client on which a [`Tx`](super::Tx) begins. [`Delivery::commit`] ends it as the worker would.
    pub fn client(mut self, client: &Client) -> Self {
        self.0.tx = Arc::new(TxSlot::new(&Arc::new(TxSource::unlimited(client.clone()))));
        self
    }

    /// What an earlier attempt has saved.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Encode`] if `value` cannot be written as JSON.
    pub fn checkpoint<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self, CheckpointError> {
        let value = checkpoint::encode(value)?;
        self.0.checkpoints = Checkpoints::Kept(Arc::new(Mutex::new(Some(value))));
        Ok(self)
    }

    /// The delivery.
    pub fn build(self) -> Delivery {
        self.0
    }
}
