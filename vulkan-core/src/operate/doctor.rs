use std::fmt;

use sqlx::FromRow;

use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;

/// Something that is wrong with the server, as far as what Vulkan promises depends on it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
#[non_exhaustive]
pub struct Diagnosis {
    /// A short name, such as `fsync`.
    pub problem: String,
    /// Messages can be lost, or nothing can be done at all. Else it will get slow.
    pub is_danger: bool,
    /// What is wrong, and what may come of it.
    pub detail: String,
    /// What to do about it, as SQL where that is what it takes.
    pub remedy: String,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.remedy)
    }
}

impl Client {
    /// What is wrong with the server; nothing on a sound one. Workers ask when they start.
    ///
    /// It looks at what makes a publish durable (`fsync`, `synchronous_commit`), at what readers rely on, at what will make
    /// things slow. The settings are those of this client's connections. Since when a transaction of another role lasts only
    /// members of `pg_read_all_stats` see; to others, one counts as old that has outlasted 100,000 transactions.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = vulkan_devpg::shared().await.create_database().await?;
    /// # let client = vulkan_core::Client::connect(&database.url()).await?;
    /// # client.migrate().await?;
    /// for diagnosis in client.doctor().await? {
    ///     eprintln!("{}: {diagnosis}", diagnosis.problem);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn doctor(&self) -> Result<Vec<Diagnosis>, Error> {
        let told = answered(self, |connection| {
            Box::pin(sqlx::query_as(include_str!("../../queries/doctor.sql")).fetch_all(connection))
        });
        Ok(told.await?)
    }
}
