use super::DryRun;
use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;

impl Client {
    /// Hands out nothing more of a group until it is resumed. What is in flight runs on; returns how
    /// many messages that is.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`], [`Error::UnknownGroup`].
    pub async fn pause(&self, stream: &str, group: &str, dry_run: DryRun) -> Result<i64, Error> {
        self.switch(
            include_str!("../../queries/pause.sql"),
            stream,
            group,
            dry_run,
        )
        .await
    }

    /// Lets a paused group go on; returns how many messages wait above its cursor.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`], [`Error::UnknownGroup`].
    pub async fn resume(&self, stream: &str, group: &str, dry_run: DryRun) -> Result<i64, Error> {
        self.switch(
            include_str!("../../queries/resume.sql"),
            stream,
            group,
            dry_run,
        )
        .await
    }

    async fn switch(
        &self,
        sql: &'static str,
        stream: &str,
        group: &str,
        dry_run: DryRun,
    ) -> Result<i64, Error> {
        let (pool, stream, group) = (self.pool().clone(), stream.to_owned(), group.to_owned());
        to_the_end(async move {
            Ok(sqlx::query_scalar(sql)
                .bind(stream)
                .bind(group)
                .bind(dry_run == DryRun::Yes)
                .fetch_one(&pool)
                .await?)
        })
        .await
    }
}
