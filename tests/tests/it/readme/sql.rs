//! What the README and the guides do from SQL alone.

use sqlx::{AssertSqlSafe, PgConnection};

use super::{README, blocks, guides};
use crate::support::TestDb;

const SESSION: &str = "\n### From SQL alone\n";

/// What the SQL of the guides finds there.
const BEFORE_A_GUIDE: &str = "
    SELECT vulkan.create_stream(s) FROM unnest('{orders, exports, chores}'::text[]) s;
    SELECT vulkan.create_group('orders', g) FROM unnest('{billing, payments, ledger}'::text[]) g;
    SELECT vulkan.create_group('exports', 'render');
    SELECT vulkan.publish('orders', 'order.placed', '{}') FROM generate_series(1, 42);
    SELECT vulkan.worker_beat('host:4711:5f0c9a31', 'this process', version => '1.4.2');
";

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

#[tokio::test]
async fn the_sql_of_the_guides_runs_as_it_stands() {
    let mut with_sql = Vec::new();
    for (guide, text) in guides() {
        // Makes roles of the server; runs under other names in tests/it/security/guide.rs.
        if guide == "security.md" {
            continue;
        }
        let inline = text.split('`').filter(|code| {
            let in_a_line = !code.contains('\n');
            in_a_line && code.starts_with("SELECT ")
        });
        let code: Vec<&str> = blocks(&text, "sql").chain(inline).collect();
        if code.is_empty() {
            continue;
        }
        let db = TestDb::new().await;
        let mut connection = db.connect().await;
        run(&mut connection, BEFORE_A_GUIDE).await;
        for statements in code {
            run(&mut connection, statements).await;
        }
        db.check().await;
        with_sql.push(guide);
    }
    assert!(with_sql.len() > 6, "SQL was found in {with_sql:?} alone");
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
