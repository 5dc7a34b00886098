//! Drops what killed processes have left on the server of `DATABASE_URL`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::database::{PREFIX, quoted, run};

/// Longer than any process keeps a test's database.
const AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Drops our databases that are a day old and that nobody is connected to.
///
/// Failures are left for the next time: the tests at hand do not depend on it.
pub(crate) async fn drop_leftovers(connection: &mut PgConnection) {
    let names = sqlx::query_scalar(
        "select datname::text from pg_database d
         where starts_with(datname::text, $1)
         and not exists (select from pg_stat_activity a where a.datid = d.oid)",
    );
    let names: sqlx::Result<Vec<String>> = names.bind(PREFIX).fetch_all(&mut *connection).await;
    for name in names.unwrap_or_default() {
        if is_old(&name) {
            // Without FORCE: whoever has connected since then keeps it.
            let statement = format!("DROP DATABASE IF EXISTS {}", quoted(&name));
            let _ = run(connection, statement).await;
        }
    }
}

/// Whether the time in a database's name is long past; never for a name not ours.
fn is_old(name: &str) -> bool {
    let id = name.strip_prefix(PREFIX);
    let id = id.and_then(|id| Uuid::try_parse(id).ok());
    let created = id.and_then(|id| id.get_timestamp()).map(|at| {
        let (seconds, nanos) = at.to_unix();
        UNIX_EPOCH + Duration::new(seconds, nanos)
    });
    let age = created.and_then(|created| SystemTime::now().duration_since(created).ok());
    age.is_some_and(|age| age > AGE)
}

#[cfg(test)]
mod tests {
    use uuid::{NoContext, Timestamp};

    use super::{PREFIX, Uuid, is_old};

    #[test]
    fn only_our_old_names_are_old() {
        let long_ago = Timestamp::from_unix(NoContext, 1_500_000_000, 0);
        let old = Uuid::new_v7(long_ago).simple().to_string();
        assert!(is_old(&format!("{PREFIX}{old}")));
        assert!(!is_old(&old));
        assert!(!is_old(&format!("{PREFIX}mine")));
        assert!(!is_old(&format!("{PREFIX}{}", Uuid::now_v7().simple())));
    }
}
