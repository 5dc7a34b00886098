use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;

impl Client {
    /// Housekeeping of the log: partitions ahead, the slot rolled when its time has come, old dedup ids
    /// forgotten. Workers call it every half minute; without a worker, call it from time to time.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; whatever was left undone is done by the next call.
    pub async fn maintain(&self) -> Result<(), Error> {
        answered(self, |connection| {
            Box::pin(sqlx::query(include_str!("../../queries/maintain.sql")).execute(connection))
        })
        .await?;
        Ok(())
    }
}
