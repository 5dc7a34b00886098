//! What became of claimed messages, as `vulkan.settle()` is told.

use sqlx::PgExecutor;

use super::Message;

/// One row of settle()'s answer.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Verdict {
    #[sqlx(rename = "event_offset")]
    pub(crate) offset: Option<i64>,
    pub(crate) verdict: String,
}

/// The arguments of one settle() of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settlement {
    claims: Vec<(i64, i64)>,
    offsets: Vec<i64>,
    tokens: Vec<i64>,
    lanes: Vec<Option<i64>>,
    outcomes: Vec<String>,
    delays: Vec<Option<f64>>,
    errors: Vec<Option<String>>,
}

impl Settlement {
    /// Closes the claims that these messages were handed out with.
    pub(crate) fn closing(messages: &[Message]) -> Self {
        let mut claims: Vec<_> = messages
            .iter()
            .filter_map(|message| Some((message.claim_hi?, message.token)))
            .collect();
        claims.dedup();
        Self {
            claims,
            ..Self::default()
        }
    }

    /// Adds an outcome for a message, with the group's own backoff.
    pub(crate) fn item(self, message: &Message, outcome: &str) -> Self {
        self.item_after(message, outcome, None)
    }

    /// Adds an outcome for a message, to come back after so many seconds.
    pub(crate) fn item_after(
        mut self,
        message: &Message,
        outcome: &str,
        delay: Option<f64>,
    ) -> Self {
        self.offsets.push(message.offset);
        self.tokens.push(message.token);
        self.lanes.push(message.lane);
        self.outcomes.push(outcome.into());
        self.delays.push(delay);
        let failed = matches!(outcome, "retry" | "dead");
        self.errors
            .push(failed.then(|| format!("{outcome} of {}", message.offset)));
        self
    }

    pub(crate) async fn send(
        &self,
        group_id: i32,
        executor: impl PgExecutor<'_>,
    ) -> sqlx::Result<Vec<Verdict>> {
        let (his, tokens): (Vec<i64>, Vec<i64>) = self.claims.iter().copied().unzip();
        sqlx::query_as(
            "SELECT event_offset, verdict
             FROM vulkan.settle($1, $2, $3, $4, $5, $6, $7,
                 ARRAY(SELECT make_interval(secs => d) FROM unnest($8::float8[])
                       WITH ORDINALITY AS u(d, n) ORDER BY n), $9)",
        )
        .bind(group_id)
        .bind(his)
        .bind(tokens)
        .bind(&self.offsets)
        .bind(&self.tokens)
        .bind(&self.lanes)
        .bind(&self.outcomes)
        .bind(&self.delays)
        .bind(&self.errors)
        .fetch_all(executor)
        .await
    }
}
