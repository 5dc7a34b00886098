//! What the server is at, each second, so that a failure explains itself.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::PgPool;

use crate::clock::mono_us;

/// Writes a line a second until it is dropped. What cannot be asked while the server is away is left out.
pub(super) async fn sample(pool: PgPool, path: PathBuf) {
    let Ok(mut file) = File::create(path) else {
        return;
    };
    let _ = writeln!(
        file,
        "at_us,dead_tuples,oldest_transaction_s,sessions,waiting"
    );
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let asked = sqlx::query_as::<_, (i64, f64, i64, String)>(include_str!("../sql/sample.sql"));
        if let Ok((dead, oldest, sessions, waiting)) = asked.fetch_one(&pool).await {
            let _ = writeln!(
                file,
                "{},{dead},{oldest:.3},{sessions},{waiting}",
                mono_us()
            );
        }
    }
}
