//! A lifecycle group and its workers' two calls.

use sqlx::PgPool;

use super::{Message, Settlement, Verdict};

/// A lifecycle group of stream `orders`.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) pool: PgPool,
    pub(crate) name: String,
    pub(crate) id: i32,
}

impl Group {
    pub(crate) async fn create(pool: &PgPool, name: &str) -> Self {
        let id = sqlx::query_scalar("SELECT vulkan.create_group('orders', $1)")
            .bind(name)
            .fetch_one(pool)
            .await
            .unwrap();
        Self {
            pool: pool.clone(),
            name: name.into(),
            id,
        }
    }

    /// Changes options: `set` is the list of an UPDATE of vulkan.groups.
    pub(crate) async fn with(self, set: &'static str) -> Self {
        let sql = format!(
            "UPDATE vulkan.groups SET {set} WHERE group_id = {}",
            self.id
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&self.pool)
            .await
            .unwrap();
        self
    }

    /// Everything that can be had at once.
    pub(crate) async fn claim(&self) -> Vec<Message> {
        self.claim_as("worker", 100).await
    }

    pub(crate) async fn claim_as(&self, worker: &str, at_most: i32) -> Vec<Message> {
        self.try_claim(worker, at_most).await.unwrap()
    }

    pub(crate) async fn try_claim(&self, worker: &str, at_most: i32) -> sqlx::Result<Vec<Message>> {
        sqlx::query_as("SELECT * FROM vulkan.claim($1, $2, $3)")
            .bind(self.id)
            .bind(worker)
            .bind(at_most)
            .fetch_all(&self.pool)
            .await
    }

    /// The one message that can be had.
    pub(crate) async fn claim_one(&self) -> Message {
        let mut messages = self.claim().await;
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    pub(crate) async fn settle(&self, settlement: &Settlement) -> Vec<Verdict> {
        settlement.send(self.id, &self.pool).await.unwrap()
    }

    /// Settles all of these as done, and asserts that none was stale.
    pub(crate) async fn done(&self, messages: &[Message]) {
        let settlement = messages
            .iter()
            .enumerate()
            .filter(|(nth, message)| match message.lane {
                // One item a lane: its last message.
                Some(_) => messages[nth + 1..]
                    .iter()
                    .all(|later| later.lane != message.lane),
                None => message.claim_hi.is_none(),
            })
            .fold(Settlement::closing(messages), |settlement, (_, message)| {
                settlement.item(message, "done")
            });
        assert_eq!(self.settle(&settlement).await, []);
    }

    /// Settles one message with one outcome, its claim closed.
    pub(crate) async fn settle_one(&self, message: &Message, outcome: &str) -> Vec<Verdict> {
        let closing = Settlement::closing(std::slice::from_ref(message));
        self.settle(&closing.item(message, outcome)).await
    }

    pub(crate) async fn cursor(&self) -> i64 {
        sqlx::query_scalar("SELECT vulkan.cursor_of($1)")
            .bind(self.id)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// The status and attempts of a message, as vulkan.deliveries has it.
    pub(crate) async fn status(&self, offset: i64) -> Option<(String, i32)> {
        let rows: Vec<(String, i32)> = sqlx::query_as(
            "SELECT status, attempts FROM vulkan.deliveries
             WHERE consumer_group = $1 AND event_offset = $2",
        )
        .bind(&self.name)
        .bind(offset)
        .fetch_all(&self.pool)
        .await
        .unwrap();
        assert!(rows.len() <= 1, "{offset} of {}: {rows:?}", self.name);
        rows.into_iter().next()
    }
}
