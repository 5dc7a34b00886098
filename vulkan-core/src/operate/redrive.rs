use vulkan_names::KindPattern;

use super::DryRun;
use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;

/// Which dead letters to redrive. The default is all of them.
#[derive(Debug, Clone, Default)]
pub struct Redrive {
    /// Only events of these kinds.
    pub kinds: Option<KindPattern>,
    /// Only those whose last error is `LIKE` this: `%` stands for any text, `_` for one character.
    pub error_like: Option<String>,
    /// Only from this offset on.
    pub from_offset: Option<i64>,
    /// Only up to and including this offset.
    pub to_offset: Option<i64>,
    /// At most so many, those with the lowest offsets first.
    pub at_most: Option<i64>,
}

impl Client {
    /// Makes dead letters of a group ready again, with a fresh attempt budget; returns how many.
    ///
    /// For very many, redrive `at_most` a few thousand at a time until it returns 0.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`], [`Error::UnknownGroup`].
    pub async fn redrive(
        &self,
        stream: &str,
        group: &str,
        which: Redrive,
        dry_run: DryRun,
    ) -> Result<i64, Error> {
        let (pool, stream, group) = (self.pool().clone(), stream.to_owned(), group.to_owned());
        to_the_end(async move {
            Ok(
                sqlx::query_scalar(include_str!("../../queries/redrive.sql"))
                    .bind(stream)
                    .bind(group)
                    .bind(which.kinds.map(KindPattern::into_string))
                    .bind(which.error_like)
                    .bind(which.from_offset)
                    .bind(which.to_offset)
                    .bind(which.at_most)
                    .bind(dry_run == DryRun::Yes)
                    .fetch_one(&pool)
                    .await?,
            )
        })
        .await
    }
}
