use serde_json::{Value, json};
use sqlx::PgConnection;
use vulkan_names::{Breaker, Rate};

use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;
use crate::interval::interval;

/// What a group may do at most, over all its workers.
///
/// What is `None` keeps what the group has; a new group has no limits.
///
/// # Examples
///
/// ```
/// use vulkan_core::{Breaker, GroupOptions, Limit, Limits};
///
/// let options = GroupOptions {
///     limits: Limits {
///         max_in_flight: Some(Limit::At(100)),
///         rate: Some(Limit::At("50/s".parse()?)),
///         // The group had one, and shall have none.
///         breaker: Some(Limit::Off),
///         ..Limits::default()
///     },
///     ..GroupOptions::default()
/// };
/// # Ok::<(), vulkan_core::RateError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// How many messages are in flight at once.
    pub max_in_flight: Option<Limit<u32>>,
    /// How many messages of each key prefix are in flight at once: what lets the cursor pass over a noisy tenant.
    pub max_in_flight_per_prefix: Option<Limit<u32>>,
    /// The prefix of a partition key is what stands before the first of these; `":"` unless set.
    pub prefix_delimiter: Option<String>,
    /// How many attempts begin in a time.
    pub rate: Option<Limit<Rate>>,
    /// How many of them may begin at once after a quiet time. A tenth of a second's worth, unless set.
    pub burst: Option<Limit<u32>>,
    /// When the group rests, because its attempts fail.
    pub breaker: Option<Limit<Breaker>>,
}

/// A limit that is there, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit<T> {
    /// No limit.
    Off,
    /// This one.
    At(T),
}

impl<T> From<T> for Limit<T> {
    fn from(limit: T) -> Self {
        Self::At(limit)
    }
}

/// As the engine takes a number: 0 takes the limit away.
fn number(limit: Option<Limit<u32>>) -> Option<i32> {
    limit.map(|limit| match limit {
        Limit::Off => 0,
        // Zero is no limit that can be meant: below it the engine refuses.
        Limit::At(0) => -1,
        Limit::At(limit) => i32::try_from(limit).unwrap_or(i32::MAX),
    })
}

/// Zero would take the breaker away: below it the engine refuses.
fn percent(breaker: &Breaker) -> i32 {
    match breaker.failure_percent {
        0 => -1,
        percent => i32::try_from(percent).unwrap_or(i32::MAX),
    }
}

impl Limits {
    /// What is not `None`, by name, as `vulkan.declare_options()` takes it.
    pub(crate) fn declared(&self) -> [(&'static str, Option<Value>); 6] {
        [
            ("max_in_flight", number(self.max_in_flight).map(Value::from)),
            (
                "max_in_flight_per_prefix",
                number(self.max_in_flight_per_prefix).map(Value::from),
            ),
            (
                "prefix_delimiter",
                self.prefix_delimiter.clone().map(Value::from),
            ),
            ("rate", self.per_second().map(Value::from)),
            ("burst", number(self.burst).map(Value::from)),
            (
                "breaker",
                self.breaker.map(|limit| match limit {
                    Limit::Off => json!(0),
                    Limit::At(breaker) => json!({
                        "failure_percent": percent(&breaker),
                        "min_attempts": breaker.min_attempts,
                        "time_window": breaker.window.as_secs_f64(),
                        "pause": breaker.pause.as_secs_f64(),
                        "max_pause": breaker.max_pause.as_secs_f64(),
                        "probes": breaker.probes,
                    }),
                }),
            ),
        ]
    }

    fn per_second(&self) -> Option<f64> {
        self.rate.map(|limit| match limit {
            Limit::Off => 0.0,
            Limit::At(rate) if rate.attempts == 0 => -1.0,
            Limit::At(rate) => rate.per_second(),
        })
    }

    /// Sets what is not `None`. Takes the group's latch before any row lock.
    pub(crate) async fn set(
        self,
        connection: &mut PgConnection,
        stream: &str,
        group: &str,
    ) -> sqlx::Result<()> {
        if self == Self::default() {
            return Ok(());
        }
        sqlx::query(include_str!("../queries/set_limits.sql"))
            .bind(stream)
            .bind(group)
            .bind(number(self.max_in_flight))
            .bind(number(self.max_in_flight_per_prefix))
            .bind(&self.prefix_delimiter)
            .bind(self.per_second())
            .bind(number(self.burst))
            .execute(&mut *connection)
            .await?;
        let breaker = match self.breaker {
            None => return Ok(()),
            Some(Limit::Off) => None,
            Some(Limit::At(breaker)) => Some(breaker),
        };
        let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        sqlx::query(include_str!("../queries/set_breaker.sql"))
            .bind(stream)
            .bind(group)
            .bind(breaker.as_ref().map_or(0, percent))
            .bind(breaker.map(|it| count(it.min_attempts)))
            .bind(breaker.map(|it| interval(it.window)))
            .bind(breaker.map(|it| interval(it.pause)))
            .bind(breaker.map(|it| interval(it.max_pause)))
            .bind(breaker.map(|it| count(it.probes)))
            .execute(connection)
            .await?;
        Ok(())
    }
}

impl Client {
    /// Gives one key prefix of a group a limit of its own to how many of its messages are in flight; with 0
    /// none of them is handed out. `None` takes it away. Returns whether anything changed.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`], [`Error::UnknownGroup`]; [`Error::Invalid`] for a group of mode cursor.
    pub async fn set_prefix_limit(
        &self,
        stream: &str,
        group: &str,
        prefix: &str,
        max_in_flight: Option<u32>,
    ) -> Result<bool, Error> {
        let pool = self.pool().clone();
        let [stream, group, prefix] = [stream, group, prefix].map(str::to_owned);
        let most = max_in_flight.map(|max| i32::try_from(max).unwrap_or(i32::MAX));
        to_the_end(async move {
            Ok(
                sqlx::query_scalar(include_str!("../queries/set_prefix_limit.sql"))
                    .bind(stream)
                    .bind(group)
                    .bind(prefix)
                    .bind(most)
                    .fetch_one(&pool)
                    .await?,
            )
        })
        .await
    }

    /// Closes the breaker of a group by hand. Returns whether it was open.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`], [`Error::UnknownGroup`].
    pub async fn reset_breaker(&self, stream: &str, group: &str) -> Result<bool, Error> {
        let (pool, stream, group) = (self.pool().clone(), stream.to_owned(), group.to_owned());
        to_the_end(async move {
            Ok(
                sqlx::query_scalar(include_str!("../queries/reset_breaker.sql"))
                    .bind(stream)
                    .bind(group)
                    .fetch_one(&pool)
                    .await?,
            )
        })
        .await
    }
}
