use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::PgConnection;

use super::tx_slot::{Lent, TxSlot};
use super::{Delivery, FromDelivery, Result};

/// The transaction that also marks the message done: what a handler writes in it happens once, or not at all.
///
/// A handler asks for it with an argument of type `Tx`. It dereferences to a [`PgConnection`], so `&mut *tx`
/// goes wherever sqlx takes an executor, and to [`Client::publish_in`](vulkan_core::Client::publish_in), for events
/// that follow from this one. When the handler returns `Ok(())`, the worker marks the message done in the
/// same transaction, as its last statement, and commits. After an error, a timeout, a panic, a lost lease or at the
/// end of the grace period it rolls back. Of two workers that hold the same message, because a lease was lost,
/// only one can commit.
///
/// | The transaction | The message |
/// |---|---|
/// | commits | is done |
/// | cannot commit: a deferred constraint, a connection that breaks | failed at this attempt, and is tried again |
/// | cannot commit, since the lease is lost | is somebody else's, who does it all again |
/// | may have committed: the answer was lost | is done if it has, and else tried again |
/// | outlives the handler, in a task of its own | failed at this attempt: nothing commits |
///
/// A handler has one `Tx`, and with it keeps a connection of the worker's pool, of which the worker leaves some for itself: handlers
/// beyond that wait their turn, within their timeout. The server ends a transaction that stands idle for a minute
/// (`idle_in_transaction_session_timeout`, set by [`Client::connect`](vulkan_core::Client::connect)): what takes long, such as calling
/// another service, comes first, and [`Delivery::tx`] begins the transaction after it. Its end is the worker's: a `COMMIT`
/// in it would leave what follows in no transaction. Savepoints are fine.
///
/// # Examples
///
/// ```
/// use vulkan_worker::{Result, Tx};
///
/// // `#[handler(stream = "orders", group = "ledger")]`
/// async fn add_up(amount: i64, mut tx: Tx) -> Result {
///     sqlx::query("UPDATE totals SET amount = amount + $1")
///         .bind(amount)
///         .execute(&mut *tx)
///         .await?;
///     Ok(())
/// }
/// # _ = add_up;
/// ```
///
/// In a test, [`DeliveryBuilder::client`](super::DeliveryBuilder::client) says where it begins:
///
/// ```
/// # use vulkan_worker::{Delivery, Result, Tx};
/// # async fn add_up(amount: i64, mut tx: Tx) -> Result {
/// #     sqlx::query("UPDATE totals SET amount = amount + $1").bind(amount).execute(&mut *tx).await?;
/// #     Ok(())
/// # }
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = vulkan_devpg::shared().await.create_database().await?;
/// # let client = vulkan_core::Client::connect(&database.url()).await?;
/// # client.migrate().await?;
/// # sqlx::raw_sql("CREATE TABLE totals (amount bigint); INSERT INTO totals VALUES (1)").execute(client.pool()).await?;
/// let delivery = Delivery::builder_json(&41)?.client(&client).build();
/// add_up(delivery.decode()?, delivery.tx().await.unwrap()).await.unwrap();
/// delivery.commit().await?;
/// # let sum: i64 = sqlx::query_scalar("SELECT amount FROM totals").fetch_one(client.pool()).await?;
/// # assert_eq!(sum, 42);
/// # Ok(()) }
/// ```
pub struct Tx {
    lent: Option<Lent>,
    slot: Arc<TxSlot>,
}

impl Tx {
    pub(super) fn new(lent: Lent, slot: Arc<TxSlot>) -> Self {
        Self {
            lent: Some(lent),
            slot,
        }
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match &self.lent {
            Some(lent) => &lent.work,
            None => unreachable!("it is taken out by drop alone"),
        }
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match &mut self.lent {
            Some(lent) => &mut lent.work,
            None => unreachable!("it is taken out by drop alone"),
        }
    }
}

/// Gives the transaction back to the worker, which ends it; if the worker has let go of it already, it is rolled back.
impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(lent) = self.lent.take() {
            self.slot.give_back(lent);
        }
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

impl<S: Sync> FromDelivery<S> for Tx {
    async fn from_delivery(delivery: &Delivery, _: &S) -> Result<Self> {
        delivery.tx().await
    }
}
