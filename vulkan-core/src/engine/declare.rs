use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlx::types::Json;
use sqlx::{Connection, FromRow};
use vulkan_names::{Subject, check_name};

use crate::client::Client;
use crate::detach::{ANSWER, answered_or};
use crate::error::Error;
use crate::group::{GroupOptions, OnDead};

/// What became of a declaration of options.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Declared {
    /// The group.
    pub group_id: i32,
    /// The declaration was news, and was applied.
    pub applied: bool,
    /// The version of the program whose declaration stands.
    pub standing_version: Option<String>,
    /// The options that stand otherwise than declared, by name.
    pub differences: BTreeMap<String, Difference>,
}

/// An option that stands otherwise than declared. Spans of time are in seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// What the program declared.
    pub declared: Value,
    /// What the group has.
    pub stands: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} here, {} in the group", self.declared, self.stands)
    }
}

#[derive(FromRow)]
struct Row {
    applied: bool,
    standing_version: Option<String>,
    differences: Json<BTreeMap<String, Difference>>,
}

impl Client {
    /// Makes a consumer group, or finds it, and declares what its options are to be, as a program
    /// does when it starts.
    ///
    /// The declaration of the highest version of the program stands; of one version, the latest new
    /// one. To set options as an operator does, use [`ensure_group`](Self::ensure_group).
    ///
    /// # Errors
    ///
    /// As [`ensure_group`](Self::ensure_group).
    pub async fn declare_group(
        &self,
        stream: &str,
        group: &str,
        options: GroupOptions,
        version: Option<&str>,
        worker: &str,
    ) -> Result<Declared, Error> {
        check_name(Subject::Group, group)?;
        let (stream, group) = (stream.to_owned(), group.to_owned());
        let (version, worker) = (version.map(str::to_owned), worker.to_owned());
        answered_or(ANSWER, self, move |connection| {
            Box::pin(async move {
                let declared = json(&options);
                // In one transaction: no worker meets a new group without its bindings.
                let mut tx = connection.begin().await?;
                let group_id = options.create(&stream, &group, &mut tx).await?;
                let row: Row = sqlx::query_as(include_str!("../../queries/declare_options.sql"))
                    .bind(stream)
                    .bind(group)
                    .bind(Json(declared))
                    .bind(version)
                    .bind(worker)
                    .fetch_one(&mut *tx)
                    .await?;
                tx.commit().await?;
                Ok(Declared {
                    group_id,
                    applied: row.applied,
                    standing_version: row.standing_version,
                    differences: row.differences.0,
                })
            })
        })
        .await
    }
}

/// The options that are given, as `vulkan.declare_options()` takes them.
fn json(options: &GroupOptions) -> Map<String, Value> {
    let seconds = |span: std::time::Duration| json!(span.as_secs_f64());
    let given = [
        (
            "max_attempts",
            options
                .max_attempts
                .map(|max| json!(i32::try_from(max).unwrap_or(i32::MAX))),
        ),
        (
            "backoff_initial",
            options.backoff.map(|backoff| seconds(backoff.initial)),
        ),
        (
            "backoff_max",
            options.backoff.map(|backoff| seconds(backoff.max)),
        ),
        ("lease", options.lease.map(seconds)),
        (
            "on_dead",
            options
                .on_dead
                .map(|on_dead| json!(OnDead::as_str(on_dead))),
        ),
        (
            "rules",
            options.bindings.as_ref().map(|bindings| json!(bindings)),
        ),
    ];
    given
        .into_iter()
        .chain(options.limits.declared())
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
