//! Time, moved in the database instead of waited for.

use super::{Group, TestDb};

impl TestDb {
    /// Lets every lease that is held now run out, and reaps.
    pub(crate) async fn lose_leases(&self) {
        self.expire_leases().await;
        self.run("SELECT vulkan.reap()").await;
    }

    /// Lets every lease that is held now run out.
    pub(crate) async fn expire_leases(&self) {
        self.run(
            "UPDATE vulkan.claims SET lease_until = clock_timestamp() - interval '1 second'
             WHERE settled_at IS NULL;
             UPDATE vulkan.exceptions SET lease_until = clock_timestamp() - interval '1 second'
             WHERE status = 'processing';
             UPDATE vulkan.lanes SET lease_until = clock_timestamp() - interval '1 second'
             WHERE status = 'processing'",
        )
        .await;
    }

    /// Lets every backoff and delay be over.
    pub(crate) async fn all_due(&self) {
        self.run(
            "UPDATE vulkan.events SET deliver_at = clock_timestamp() WHERE deliver_at > clock_timestamp();
             UPDATE vulkan.exceptions SET run_at = clock_timestamp() WHERE run_at > clock_timestamp();
             UPDATE vulkan.lanes SET run_at = clock_timestamp() WHERE run_at > clock_timestamp()",
        )
        .await;
    }
}

impl Group {
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
