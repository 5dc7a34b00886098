//! Downloads PostgreSQL's programs, once.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use postgresql_embedded::{PostgreSQL, Settings, V18};

use crate::fetch::Fetch;

/// The directory of the programs, downloaded unless the cache has them.
pub(crate) async fn download(fetch: &Fetch) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
    // `setup` installs the programs and then runs initdb, which root may not.
    // It leaves a directory alone that looks like a cluster's, so it gets one.
    let decoy = tempfile::tempdir()?;
    fs::write(decoy.path().join("postgresql.conf"), "")?;
    let mut server = PostgreSQL::new(settings(fetch, decoy.path()));
    server.setup().await?;
    let installed = &server.settings().installation_dir;
    open_to_all(installed)?;
    Ok(installed.join("bin"))
}

fn settings(fetch: &Fetch, decoy: &Path) -> Settings {
    let mut settings = Settings::new();
    // The defaults come with two fresh directories, which nobody would remove.
    let _ = fs::remove_dir(&settings.data_dir);
    let _ = settings.password_file.parent().map(fs::remove_dir);
    settings.data_dir = decoy.to_owned();
    settings.password_file = decoy.join("password");
    settings.temporary = false;
    settings.version = V18.clone();
    settings.installation_dir.clone_from(&fetch.cache);
    if let Some(releases) = &fetch.releases {
        settings.releases_url.clone_from(releases);
    }
    settings
}

/// Lets every user in: the server of a root process is another one.
fn open_to_all(directory: &Path) -> std::io::Result<()> {
    let mut permissions = directory.metadata()?.permissions();
    if permissions.mode() & 0o055 != 0o055 {
        permissions.set_mode(permissions.mode() | 0o055);
        fs::set_permissions(directory, permissions)?;
    }
    Ok(())
}
