use std::time::Duration;

use sqlx::FromRow;

use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;
use crate::interval::interval;

/// What became of messages of one group: claims to close, and items of their own.
///
/// Closing a claim makes every message of it done that has no item. A lane takes one item.
#[derive(Debug, Default, Clone)]
pub struct Settlement {
    /// The claims to close: upper end and token.
    pub claims: Vec<(i64, i64)>,
    /// The messages that have more to say than "done", those with a row of their own, and lanes.
    pub items: Vec<Item>,
}

impl Settlement {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.items.is_empty()
    }

    /// The same in parts that can be reported one by one: each claim with its own items, and each
    /// other item.
    pub fn parts(&self) -> Vec<Self> {
        let of_claim = |item: &Item, token| item.lane.is_none() && item.token == token;
        let claims = self.claims.iter().map(|&(hi, token)| Self {
            claims: vec![(hi, token)],
            items: self
                .items
                .iter()
                .filter(|item| of_claim(item, token))
                .cloned()
                .collect(),
        });
        let others = self
            .items
            .iter()
            .filter(|item| !self.claims.iter().any(|&(_, token)| of_claim(item, token)))
            .map(|item| Self {
                claims: Vec::new(),
                items: vec![item.clone()],
            });
        claims.chain(others).collect()
    }
}

/// What became of one message, or of a lane's run up to it.
#[derive(Debug, Clone)]
pub struct Item {
    /// The message.
    pub offset: i64,
    /// The token it was handed out with.
    pub token: i64,
    /// Its lane, if it has one.
    pub lane: Option<i64>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done. Of a lane: its run is done up to here, and the lane is given back.
    Done,
    /// Of a lane only: its run is done up to here, and goes on.
    Progress,
    /// Still in work: it gets a lease of its own, and keeps its token.
    Running,
    /// Failed: try again after the delay, or else the group's backoff. At the last attempt it is dead.
    Retry {
        /// In place of the group's backoff.
        after: Option<Duration>,
        /// What went wrong.
        error: String,
    },
    /// Failed for good.
    Dead {
        /// What went wrong.
        error: String,
    },
    /// Not yet: try again after the delay, no attempt spent.
    Snooze {
        /// The delay.
        after: Duration,
    },
    /// Not begun: back to the group at once, no attempt spent.
    Release,
}

impl Outcome {
    fn columns(&self) -> (&'static str, Option<Duration>, Option<&str>) {
        match self {
            Self::Done => ("done", None, None),
            Self::Progress => ("progress", None, None),
            Self::Running => ("running", None, None),
            Self::Retry { after, error } => ("retry", *after, Some(error)),
            Self::Dead { error } => ("dead", None, Some(error)),
            Self::Snooze { after } => ("snooze", Some(*after), None),
            Self::Release => ("release", None, None),
        }
    }
}

/// What the engine made of an item that did not simply end done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The message; none speaks of a whole claim.
    pub offset: Option<i64>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It will be handed out again.
    Ready,
    /// It is dead.
    Dead,
    /// It runs on under its own lease.
    Running,
    /// Somebody else holds it by now; nothing was changed.
    Stale,
}

/// The longest delay, a hundred years: a time out of the database's range would be an error, and one
/// such message would keep all others from being settled.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[derive(FromRow)]
struct Row {
    event_offset: Option<i64>,
    verdict: String,
}

impl Client {
    /// Reports what became of claimed messages of a group. Returns what did not simply end done.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownGroup`]; [`Error::Database`], after which trying again is safe: what was
    /// settled is fenced by its token and comes back stale.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn settle(
        &self,
        group_id: i32,
        settlement: Settlement,
    ) -> Result<Vec<Verdict>, Error> {
        let rows: Vec<Row> = answered(self, move |connection| {
            Box::pin(async move {
                let (his, claim_tokens): (Vec<i64>, Vec<i64>) =
                    settlement.claims.into_iter().unzip();
                let items = &settlement.items;
                let columns: Vec<_> = items.iter().map(|item| item.outcome.columns()).collect();
                sqlx::query_as(include_str!("../../queries/settle.sql"))
                    .bind(group_id)
                    .bind(his)
                    .bind(claim_tokens)
                    .bind(items.iter().map(|item| item.offset).collect::<Vec<_>>())
                    .bind(items.iter().map(|item| item.token).collect::<Vec<_>>())
                    .bind(items.iter().map(|item| item.lane).collect::<Vec<_>>())
                    .bind(columns.iter().map(|column| column.0).collect::<Vec<_>>())
                    .bind(
                        columns
                            .iter()
                            .map(|column| column.1.map(|delay| interval(delay.min(LONGEST))))
                            .collect::<Vec<_>>(),
                    )
                    .bind(columns.iter().map(|column| column.2).collect::<Vec<_>>())
                    .fetch_all(connection)
                    .await
            })
        })
        .await?;
        Ok(rows.into_iter().map(Verdict::from).collect())
    }
}

impl From<Row> for Verdict {
    fn from(row: Row) -> Self {
        Self {
            offset: row.event_offset,
            fate: match row.verdict.as_str() {
                "ready" => Fate::Ready,
                "dead" => Fate::Dead,
                "running" => Fate::Running,
                _ => Fate::Stale,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_say_the_same_claim_by_claim_and_item_by_item() {
        let item = |offset, token, lane| Item {
            offset,
            token,
            lane,
            outcome: Outcome::Release,
        };
        let whole = Settlement {
            claims: vec![(10, 1), (20, 2)],
            items: vec![
                item(5, 1, None),
                item(6, 1, Some(9)),
                item(7, 3, None),
                item(15, 2, None),
            ],
        };
        let parts = whole.parts();
        let said: Vec<_> = parts
            .iter()
            .map(|part| {
                (
                    part.claims.clone(),
                    part.items
                        .iter()
                        .map(|item| item.offset)
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                (vec![(10, 1)], vec![5]),
                (vec![(20, 2)], vec![15]),
                (vec![], vec![6]),
                (vec![], vec![7]),
            ]
        );
    }
}
