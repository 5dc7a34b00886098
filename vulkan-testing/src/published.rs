//! What was published.

use std::fmt::{self, Display, Write};
use std::future::Future;
use std::panic::Location;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::FromRow;
use vulkan::Event;

use crate::TestApp;
use crate::failure::{Caller, OrFail, fail};

/// More events than this in a failure help nobody.
const MOST: usize = 40;

/// Published events that fit, to assert something of them. Made by [`TestApp::published`] and [`TestApp::published_to`].
///
/// Events are seen when their transaction has committed.
///
/// # Examples
///
/// ```
/// use vulkan::Event;
/// use vulkan_testing::TestApp;
///
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, Event)]
/// #[event(stream = "orders", kind = "order.placed")]
/// struct OrderPlaced {
///     id: u64,
/// }
///
/// # async fn test() -> Result<(), vulkan::Error> {
/// let app = TestApp::new().await;
/// # app.client().create_stream("orders").await?;
/// // The program under test publishes …
/// app.client().publish(&OrderPlaced { id: 7 }).await?;
///
/// app.published::<OrderPlaced>().matching(|order| order.id == 7).assert_count(1).await;
/// app.assert_nothing_else_published().await;
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(test()).unwrap();
/// ```
#[must_use = "nothing is asserted before `.assert_count(..)`, `.assert_some()` or `.assert_none()`"]
pub struct Published<'a, T> {
    app: &'a TestApp,
    stream: String,
    kind: Option<String>,
    key: Option<String>,
    headers: Vec<(String, Value)>,
    fits: Vec<Predicate<'a, T>>,
    at: Caller,
}

type Predicate<'a, T> = Box<dyn Fn(&T) -> bool + Send + Sync + 'a>;

/// An event of the log.
#[derive(Debug, FromRow)]
struct Row {
    stream: String,
    offset: i64,
    kind: String,
    key: Option<String>,
    payload: Value,
    headers: Option<Value>,
    published_at: DateTime<Utc>,
    deliver_at: Option<DateTime<Utc>>,
}

impl<'a, T: DeserializeOwned> Published<'a, T> {
    pub(crate) fn of_event(app: &'a TestApp, at: Caller) -> Self
    where
        T: Event,
    {
        Self::of_stream(app, T::STREAM, at).kind(T::KIND)
    }

    pub(crate) fn of_stream(app: &'a TestApp, stream: &str, at: Caller) -> Self {
        Self {
            app,
            stream: stream.to_owned(),
            kind: None,
            key: None,
            headers: Vec::new(),
            fits: Vec::new(),
            at,
        }
    }

    /// Only those of a kind.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Only those with a partition key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Only those with a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Only those whose payload fits.
    pub fn matching(mut self, fits: impl Fn(&T) -> bool + Send + Sync + 'a) -> Self {
        self.fits.push(Box::new(fits));
        self
    }

    /// The payloads of those that fit, in the order of their offsets.
    ///
    /// # Panics
    ///
    /// When a payload cannot be read.
    pub async fn payloads(self) -> Vec<T> {
        self.fitting().await.0
    }

    /// Asserts that so many fit, and returns their payloads in the order of their offsets.
    ///
    /// # Panics
    ///
    /// When it is another number, with the events of the stream; when a payload cannot be read.
    #[track_caller]
    pub fn assert_count(mut self, count: usize) -> impl Future<Output = Vec<T>> + use<'a, T> {
        self.at = Location::caller();
        async move {
            let (payloads, rows) = self.fitting().await;
            let found = payloads.len();
            if found != count {
                let text = format!("expected {count} published events of {self}, found {found}");
                fail(self.at, Listed(&text, &rows));
            }
            payloads
        }
    }

    /// Asserts that at least one fits, and returns the payloads.
    ///
    /// # Panics
    ///
    /// As [`assert_count`](Self::assert_count).
    #[track_caller]
    pub fn assert_some(mut self) -> impl Future<Output = Vec<T>> + use<'a, T> {
        self.at = Location::caller();
        async move {
            let (payloads, rows) = self.fitting().await;
            if payloads.is_empty() {
                let text = format!("expected a published event of {self}, found none");
                fail(self.at, Listed(&text, &rows));
            }
            payloads
        }
    }

    /// Asserts that none fits.
    ///
    /// # Panics
    ///
    /// As [`assert_count`](Self::assert_count).
    #[track_caller]
    pub fn assert_none(self) -> impl Future<Output = ()> + use<'a, T> {
        let count = self.assert_count(0);
        async move { drop(count.await) }
    }

    /// The payloads that fit, and all events of the stream. What fits is known to the test from now on.
    async fn fitting(&self) -> (Vec<T>, Vec<Row>) {
        let rows = events(self.app, Some(&self.stream), self.at).await;
        let mut payloads = Vec::new();
        for row in rows.iter().filter(|row| self.is_about(row)) {
            let payload = match T::deserialize(&row.payload) {
                Ok(payload) => payload,
                Err(error) => {
                    let name = std::any::type_name::<T>();
                    let text = format!("event {} is no `{name}`: {error}", row.offset);
                    fail(self.at, Listed(&text, std::slice::from_ref(row)));
                }
            };
            if self.fits.iter().all(|fits| fits(&payload)) {
                payloads.push(payload);
                self.app.known().insert(row.offset);
            }
        }
        (payloads, rows)
    }

    fn is_about(&self, row: &Row) -> bool {
        let header = |name: &str| row.headers.as_ref().and_then(|headers| headers.get(name));
        self.kind.as_ref().is_none_or(|kind| *kind == row.kind)
            && (self.key.is_none() || self.key == row.key)
            && self
                .headers
                .iter()
                .all(|(name, value)| header(name) == Some(value))
    }
}

impl TestApp {
    /// Asserts that every event of the log was published by [`publish`](Self::publish), or has fitted an assertion before.
    ///
    /// # Panics
    ///
    /// With the events of which the test knows nothing.
    #[track_caller]
    pub fn assert_nothing_else_published(&self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let mut rows = events(self, None, at).await;
            let known = self.known().clone();
            rows.retain(|row| !known.contains(&row.offset));
            if !rows.is_empty() {
                fail(at, Listed("expected nothing else to be published", &rows));
            }
        }
    }
}

async fn events(app: &TestApp, stream: Option<&str>, at: Caller) -> Vec<Row> {
    sqlx::query_as(include_str!("../queries/events.sql"))
        .bind(stream)
        .fetch_all(app.pool())
        .await
        .or_fail(at, "the events cannot be read")
}

impl<T> Display for Published<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {:?}", self.stream)?;
        if let Some(kind) = &self.kind {
            write!(f, ", kind {kind:?}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", key {key:?}")?;
        }
        for (name, value) in &self.headers {
            write!(f, ", header {name:?}: {value}")?;
        }
        match self.fits.len() {
            0 => Ok(()),
            _ => f.write_str(", with a payload that fits"),
        }
    }
}

impl<T> fmt::Debug for Published<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Published({self})")
    }
}

/// A text, and events below it.
struct Listed<'a>(&'a str, &'a [Row]);

impl Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        if self.1.is_empty() {
            return f.write_str("\n  nothing was published");
        }
        for row in self.1.iter().take(MOST) {
            let mut line = format!("{} {} in {:?}", row.offset, row.kind, row.stream);
            if let Some(key) = &row.key {
                // Writing to a String cannot fail.
                let _ = write!(line, ", key {key:?}");
            }
            if let Some(at) = row.deliver_at.filter(|at| *at > row.published_at) {
                let _ = write!(line, ", delivered from {at}");
            }
            if let Some(headers) = &row.headers {
                let _ = write!(line, ", headers {headers}");
            }
            write!(f, "\n  {line}: {}", row.payload)?;
        }
        match self.1.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
