//! Databases that tests' own are copies of.

use std::any::TypeId;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use sqlx::migrate::Migrator;
use vulkan::Client;
use vulkan_devpg::TestDatabase;

use super::SetUp;
use crate::failure::{Caller, OrFail, fail};

/// A folder with the migrations to run in place of those that were compiled in: Vulkan's own tests try changed ones, without
/// being compiled anew.
const MIGRATIONS: &str = "VULKAN_TESTING_MIGRATIONS";

/// What tells templates apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Bare,
    /// By the place of a static.
    Migrations(usize),
    /// By the type of a closure that holds nothing.
    SetUp(TypeId),
}

impl Key {
    pub(super) fn migrations(migrations: &'static Migrator) -> Self {
        Self::Migrations(std::ptr::from_ref(migrations).addr())
    }

    pub(super) fn of<F: 'static>() -> Self {
        Self::SetUp(TypeId::of::<F>())
    }
}

/// One template: held while it is made, so that it is made once.
type Slot = Arc<tokio::sync::Mutex<Kept>>;

#[derive(Default)]
struct Kept {
    /// Lasts as long as a test uses it.
    template: Weak<TestDatabase>,
    /// On a private server, as long as the process: the server goes with it.
    for_good: Option<Arc<TestDatabase>>,
}

/// The template of this key, made by the first who asks.
pub(super) async fn template(
    key: Key,
    set_up: impl AsyncFn(Client) -> SetUp,
    at: Caller,
) -> Arc<TestDatabase> {
    static TEMPLATES: LazyLock<Mutex<HashMap<Key, Slot>>> = LazyLock::new(Mutex::default);
    let slot = {
        let mut templates = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(templates.entry(key).or_default())
    };
    let mut kept = slot.lock().await;
    if let Some(template) = kept.template.upgrade() {
        return template;
    }
    let template = Arc::new(make(set_up, at).await);
    kept.template = Arc::downgrade(&template);
    if vulkan_devpg::shared().await.is_private() {
        kept.for_good = Some(Arc::clone(&template));
    }
    template
}

async fn migrate_from(folder: &Path, client: &Client, at: Caller) {
    let entries = fs::read_dir(folder).or_fail(at, "the migrations of the tests' template");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "sql"));
    files.sort_unstable();
    for file in files {
        let sql = fs::read_to_string(&file).or_fail(at, file.display());
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(client.pool())
            .await
            .or_fail(at, file.display());
    }
}

async fn make(set_up: impl AsyncFn(Client) -> SetUp, at: Caller) -> TestDatabase {
    let template = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .or_fail(at, "the tests' template has no database");
    let client = Client::connect(&template.url())
        .await
        .or_fail(at, "the tests' template");
    match std::env::var_os(MIGRATIONS) {
        Some(folder) => migrate_from(Path::new(&folder), &client, at).await,
        None => client
            .migrate()
            .await
            .or_fail(at, "the tests' template does not migrate"),
    }
    sqlx::raw_sql(include_str!("../../sql/testing.sql"))
        .execute(client.pool())
        .await
        .or_fail(at, "the tests' template");
    if let Err(error) = set_up(client.clone()).await {
        let error = crate::failure::Chain(&*error).to_string();
        fail(
            at,
            format_args!("the set-up of the tests' template failed: {error}"),
        );
    }
    // Nobody may be connected to what is copied.
    client.pool().close().await;
    template
}
