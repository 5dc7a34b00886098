//! What the README does from SQL alone.

use sqlx::{AssertSqlSafe, PgConnection};

use super::{README, blocks};
use crate::support::TestDb;

const SESSION: &str = "\n### From SQL alone\n";

#[tokio::test]
async fn the_sql_runs_as_it_stands() {
    let db = TestDb::new().await;
    let mut connection = db.connect().await;
    run(
        &mut connection,
        "SELECT vulkan.create_group('orders', 'fraud');
         SELECT vulkan.create_group('orders', 'billing');
         SELECT vulkan.publish('orders', 'order.placed', '{}', partition_key => 'ada');
         SELECT vulkan.claim(vulkan.group_id('orders', 'billing'), 'me');",
    )
    .await;
    let (before, after) = README.split_once(SESSION).unwrap();
    let (_, after) = after.split_once("\n### ").unwrap();
    for block in blocks(before, "sql").chain(blocks(after, "sql")) {
        run(&mut connection, block).await;
    }
}

#[tokio::test]
async fn the_session_goes_as_it_says() {
    let db = TestDb::new().await;
    let mut connection = db.connect().await;
    let (_, after) = README.split_once(SESSION).unwrap();
    let (session, _) = after.split_once("\n### ").unwrap();
    for block in blocks(session, "sql") {
        run(&mut connection, block).await;
    }
    let done: i64 = db
        .value("SELECT count(*) FROM vulkan.deliveries WHERE status = 'done'")
        .await;
    assert_eq!(done, 3);
    db.check().await;
}

/// Runs each statement in a transaction of its own, as psql does.
async fn run(connection: &mut PgConnection, block: &str) {
    for statement in statements(block) {
        let outcome = sqlx::raw_sql(AssertSqlSafe(statement.clone()))
            .execute(&mut *connection)
            .await;
        assert!(outcome.is_ok(), "{statement}\n{outcome:?}");
    }
}

/// Statements end with a semicolon at the end of a line.
fn statements(block: &str) -> Vec<String> {
    let code: String = block
        .lines()
        .map(|line| line.split("  --").next().unwrap_or_default())
        .filter(|line| !line.trim_start().starts_with("--"))
        .fold(String::new(), |code, line| code + line.trim_end() + "\n");
    code.split(";\n")
        .filter(|statement| !statement.trim().is_empty())
        .map(str::to_owned)
        .collect()
}
