use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use vulkan_names::{Backoff, KindPattern, Start, Subject, check_name};

use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;
use crate::interval::interval;
use crate::limits::Limits;

/// How a consumer group treats the messages of its stream.
///
/// What is `None` keeps what the group has, and for a new group the default of `vulkan.groups`.
///
/// # Examples
///
/// ```
/// use vulkan_core::{Binding, GroupOptions};
///
/// let options = GroupOptions {
///     max_attempts: Some(3),
///     bindings: Some(vec![Binding::kind("order.*.created".parse()?)]),
///     ..GroupOptions::default()
/// };
/// # Ok::<(), vulkan_core::NameError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct GroupOptions {
    /// Lifecycle or cursor. Counts only when the group is made.
    pub mode: Mode,
    /// Where a new group begins. Counts only when the group is made.
    pub start: Start,
    /// What the group wants of its stream; a message matches if any of them does.
    /// Bound anew, they hold from the group's cursor on.
    pub bindings: Option<Vec<Binding>>,
    /// A message is dead after this many attempts. Six, unless set.
    pub max_attempts: Option<u32>,
    /// The delays between attempts. From 2 s to 10 min, unless set.
    pub backoff: Option<Backoff>,
    /// How long a message stays with a worker that gives no sign of life. 30 s, unless set.
    pub lease: Option<Duration>,
    /// What a dead message does to its partition key. It moves on, unless set.
    pub on_dead: Option<OnDead>,
    /// What the group may do at most, over all its workers. Nothing limits it, unless set.
    pub limits: Limits,
}

/// What a group keeps of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A state per message, with retries and dead letters: what workers serve.
    #[default]
    Lifecycle,
    /// A bare reading position, committed by its [`Reader`](crate::Reader).
    Cursor,
}

impl Mode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Lifecycle => "lifecycle",
            Self::Cursor => "cursor",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// As it stands in `vulkan.groups`.
impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        [Self::Lifecycle, Self::Cursor]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| format!("unknown group mode {text:?}"))
    }
}

/// What a dead message does to its partition key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDead {
    /// The key moves on to its next message.
    #[default]
    Advance,
    /// The key waits until the message is redriven or skipped.
    Block,
}

impl OnDead {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Advance => "advance",
            Self::Block => "block",
        }
    }
}

/// One rule of what a group wants.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Binding {
    #[serde(serialize_with = "pattern_as_text")]
    kind: KindPattern,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

impl Binding {
    /// Events whose kind the pattern matches.
    pub fn kind(pattern: KindPattern) -> Self {
        Self {
            kind: pattern,
            headers: BTreeMap::new(),
        }
    }

    /// Only those of them with this header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }
}

fn pattern_as_text<S: serde::Serializer>(
    pattern: &KindPattern,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(pattern.as_str())
}

impl GroupOptions {
    /// Makes the group with these options, or finds it and leaves it as it is; returns its id.
    pub(crate) async fn create(
        &self,
        stream: &str,
        group: &str,
        connection: &mut PgConnection,
    ) -> sqlx::Result<i32> {
        let max_attempts = self.max_attempts;
        sqlx::query_scalar(include_str!("../queries/create_group.sql"))
            .bind(stream)
            .bind(group)
            .bind(self.mode.as_str())
            .bind(self.start.to_string())
            .bind(self.bindings.as_ref().map(Json))
            .bind(max_attempts.map(|max| i32::try_from(max).unwrap_or(i32::MAX)))
            .bind(self.backoff.map(|backoff| interval(backoff.initial)))
            .bind(self.backoff.map(|backoff| interval(backoff.max)))
            .bind(self.lease.map(interval))
            .bind(self.on_dead.map(OnDead::as_str))
            .fetch_one(connection)
            .await
    }
}

impl Client {
    /// Makes a consumer group, or finds it, and sets the options that are given; returns its id.
    ///
    /// All of it happens, or nothing: no worker meets a new group without its bindings.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`]; [`Error::Name`] if the name is not valid; [`Error::Invalid`] if an
    /// option is out of bounds (1 to 1001 attempts, a backoff above zero with its maximum not below it,
    /// a lease above zero, at least one binding, limits above zero).
    pub async fn ensure_group(
        &self,
        stream: &str,
        group: &str,
        options: GroupOptions,
    ) -> Result<i32, Error> {
        check_name(Subject::Group, group)?;
        let (pool, stream, group) = (self.pool().clone(), stream.to_owned(), group.to_owned());
        to_the_end(async move {
            let mut tx = pool.begin().await?;
            let id = options.create(&stream, &group, &mut tx).await?;
            let bindings = options.bindings.map(Json);
            let max_attempts = options
                .max_attempts
                .map(|max| i32::try_from(max).unwrap_or(i32::MAX));
            let backoff_initial = options.backoff.map(|backoff| interval(backoff.initial));
            let backoff_max = options.backoff.map(|backoff| interval(backoff.max));
            let lease = options.lease.map(interval);
            let on_dead = options.on_dead.map(OnDead::as_str);
            // For a group that was there before. Binding and limits first, since they take the group's latch.
            if let Some(bindings) = bindings {
                sqlx::query(include_str!("../queries/set_binding.sql"))
                    .bind(&stream)
                    .bind(&group)
                    .bind(bindings)
                    .execute(&mut *tx)
                    .await?;
            }
            options.limits.set(&mut tx, &stream, &group).await?;
            sqlx::query(include_str!("../queries/alter_group.sql"))
                .bind(&stream)
                .bind(&group)
                .bind(max_attempts)
                .bind(backoff_initial)
                .bind(backoff_max)
                .bind(lease)
                .bind(on_dead)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(id)
        })
        .await
    }
}
