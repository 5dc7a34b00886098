//! Limits of a group, over all its workers.

/// The circuit breaker: when it opens, what it counts, how it closes.
mod breaker;
/// What is in flight, in all.
mod in_flight;
/// What is in flight of a key prefix, and what goes on meanwhile.
mod prefix;
/// How many attempts begin in a time.
mod rate;

use crate::support::{Group, Message, TestDb};

impl TestDb {
    /// Publishes so many events; their keys are by this expression of their number `n`.
    async fn publish(&self, many: i32, key: &str) {
        let sql = format!(
            "SELECT vulkan.publish_many('orders', array_fill('n'::text, ARRAY[$1]), array_fill('1'::jsonb, ARRAY[$1]),
                 ARRAY(SELECT {key} FROM generate_series(1, $1) n ORDER BY n))"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(many)
            .execute(&self.pool)
            .await
            .unwrap();
    }
}

impl Group {
    /// Calls a function with the stream, the group, and this.
    async fn set(&self, function: &str, arguments: &str) -> bool {
        let sql = format!(
            "SELECT vulkan.{function}('orders', '{}', {arguments})",
            self.name
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// How many messages vulkan.deliveries shows in work.
    async fn processing(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM vulkan.deliveries
             WHERE consumer_group = $1 AND status = 'processing'",
        )
        .bind(&self.name)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// What an idle worker is told: is anything due, and in how many seconds to look again.
    async fn look(&self) -> (bool, Option<f64>) {
        sqlx::query_as(
            "SELECT due, extract(epoch FROM next_at - clock_timestamp())::float8
             FROM vulkan.look(ARRAY[$1])",
        )
        .bind(self.id)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }
}

/// The keys of messages, in the order they came.
fn keys(messages: &[Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.partition_key.as_deref().unwrap_or_default())
        .collect()
}
