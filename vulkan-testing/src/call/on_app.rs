//! A handler called alone, with a database behind it.

use std::future::Future;
use std::panic::Location;

use vulkan::{ErasedHandler, Handler, IntoHandler};

use super::{Handled, IntoDelivery, run, run_batch};
use crate::TestApp;

impl TestApp {
    /// Calls a handler as [`call_with`](crate::call_with) does, with this database behind it: what it writes in its [`Tx`](vulkan::Tx) is
    /// committed when it returns `Ok(())`.
    ///
    /// The message is none of the database's, so nothing is marked done.
    ///
    /// # Panics
    ///
    /// As [`call`](crate::call).
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan::{Event, Tx, handler};
    /// use vulkan_testing::{Handled, TestApp};
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, Event)]
    /// #[event(stream = "orders", kind = "order.placed")]
    /// struct OrderPlaced {
    ///     id: i64,
    /// }
    ///
    /// #[handler(stream = "orders", group = "billing")]
    /// async fn bill(order: OrderPlaced, mut tx: Tx) -> vulkan::Result {
    ///     sqlx::query("INSERT INTO invoices VALUES ($1)").bind(order.id).execute(&mut *tx).await?;
    ///     Ok(())
    /// }
    ///
    /// # async fn test() -> Result<(), sqlx::Error> {
    /// let app = TestApp::new().await;
    /// sqlx::raw_sql("CREATE TABLE invoices (order_id bigint)").execute(app.pool()).await?;
    /// assert_eq!(app.call(bill, &OrderPlaced { id: 7 }, &()).await, Handled::Done);
    /// let invoices: i64 = sqlx::query_scalar("SELECT count(*) FROM invoices").fetch_one(app.pool()).await?;
    /// assert_eq!(invoices, 1);
    /// # Ok(()) }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(test()).unwrap();
    /// ```
    #[track_caller]
    pub fn call<H, M, S, D>(
        &self,
        handler: H,
        delivery: D,
        state: &S,
    ) -> impl Future<Output = Handled>
    where
        S: Send + Sync + 'static,
        H: IntoHandler<S, M>,
        H::Handler: Handler<S>,
        D: IntoDelivery,
    {
        let at = Location::caller();
        let handler = ErasedHandler::new(handler.into_handler());
        async move { run(&handler, delivery, state, Some(self.client()), at).await }
    }

    /// Calls a handler of batches as [`call_batch`](crate::call_batch) does, with this database behind it.
    ///
    /// # Panics
    ///
    /// As [`call`](crate::call).
    #[track_caller]
    pub fn call_batch<H, M, S, D>(
        &self,
        handler: H,
        deliveries: impl IntoIterator<Item = D>,
        state: &S,
    ) -> impl Future<Output = Vec<Handled>>
    where
        S: Send + Sync + 'static,
        H: IntoHandler<S, M>,
        H::Handler: Handler<S>,
        D: IntoDelivery,
    {
        let at = Location::caller();
        let handler = ErasedHandler::new(handler.into_handler());
        async move { run_batch(&handler, deliveries, state, Some(self.client()), at).await }
    }
}
