//! Where PostgreSQL comes from when the machine has none.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Where to fetch from, and where to keep it.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "fetch"),
    expect(dead_code, reason = "nothing is fetched")
)]
pub(crate) struct Fetch {
    /// Other than the usual releases.
    pub(crate) releases: Option<String>,
    /// Holds one directory for each version.
    pub(crate) cache: PathBuf,
}

impl Fetch {
    /// From the usual releases, into the user's cache.
    pub(crate) fn usual() -> Self {
        Self {
            releases: None,
            cache: cache(),
        }
    }

    /// The directory of the fetched programs; an error says why there is none.
    #[cfg(feature = "fetch")]
    pub(crate) async fn run(&self) -> Result<PathBuf, String> {
        let fetched = crate::download::download(self).await;
        fetched.map_err(|error| format!("fetching one failed: {error}"))
    }

    /// Says that there is nothing to fetch with.
    #[cfg(not(feature = "fetch"))]
    pub(crate) async fn run(&self) -> Result<PathBuf, String> {
        Err("fetching one is switched off (feature `fetch`)".to_owned())
    }
}

/// The user's cache; for root one that other users can enter, unlike its home.
fn cache() -> PathBuf {
    let home = std::env::home_dir().unwrap_or_default();
    let asked = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = if home.metadata().is_ok_and(|home| home.uid() == 0) {
        PathBuf::from("/var/cache")
    } else {
        let asked = asked.filter(|dir| dir.is_absolute());
        asked.unwrap_or_else(|| home.join(".cache"))
    };
    base.join("vulkan").join("postgresql")
}
