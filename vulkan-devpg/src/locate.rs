//! Finds the programs, or fetches them.

use std::path::PathBuf;

use crate::Error;
use crate::blocking::blocking;
use crate::discover::Search;
use crate::fetch::Fetch;

/// The directory of PostgreSQL's programs.
pub(crate) async fn locate() -> Result<PathBuf, Error> {
    locate_with(Search::everywhere(), &Fetch::usual()).await
}

async fn locate_with(search: Search, fetch: &Fetch) -> Result<PathBuf, Error> {
    let found = blocking("look for PostgreSQL", move || Ok(search.run())).await?;
    match found {
        Ok(bin_dir) => Ok(bin_dir),
        Err(nothing) => fetch.run().await.map_err(|fetch| Error::NotFound {
            search: nothing.to_string(),
            fetch,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fetch, Search, locate_with};

    #[tokio::test]
    async fn where_neither_works_one_message_says_both() {
        let nowhere = Search {
            path: "/no/such/path".into(),
            pg_config: "/no/such/pg_config".into(),
            packaged: vec!["/no/such/*/bin".into()],
        };
        let cache = tempfile::tempdir().unwrap();
        let unreachable = Fetch {
            releases: Some("https://no.such.invalid/releases".into()),
            cache: cache.path().to_owned(),
        };
        let error = locate_with(nowhere, &unreachable).await.unwrap_err();
        let message = error.to_string();
        for part in [
            "none found in PATH, `pg_config --bindir`, /no/such/*/bin; ",
            if cfg!(feature = "fetch") {
                "fetching one failed: "
            } else {
                "fetching one is switched off (feature `fetch`)"
            },
            "apt install postgresql",
            "set DATABASE_URL",
        ] {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}
