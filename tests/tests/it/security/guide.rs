use sqlx::postgres::PgPoolOptions;
use vulkan::Client;

use super::support::{drop_roles, fresh_prefix, run};
use crate::readme::blocks;
use crate::support::TestDb;

const GUIDE: &str = include_str!("../../../../docs/guides/security.md");

/// The blocks of SQL, with names that no other run has.
fn sql(prefix: &str) -> Vec<String> {
    let renamed = blocks(GUIDE, "sql").map(|block| {
        block
            .replace(" vulkan_", &format!(" {prefix}_"))
            .replace(" shop", &format!(" {prefix}_shop"))
            .replace(" deploy ", &format!(" {prefix}_deploy "))
            .replace(" deploy;", &format!(" {prefix}_deploy;"))
            .replace("create_roles()", &format!("create_roles('{prefix}')"))
    });
    renamed.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_runs_as_it_stands() {
    let db = TestDb::new().await;
    let prefix = fresh_prefix();
    let blocks = sql(&prefix);
    let [create, login, prepare, payload] = blocks.as_slice() else {
        panic!("there are others: {blocks:#?}");
    };
    for block in [create, login, payload] {
        run(&db.pool, block.clone()).await;
    }
    run(
        &db.pool,
        format!("DROP ROLE {prefix}_shop; {}", drop_roles(&prefix)),
    )
    .await;

    // The other way to begin.
    let (before, after) = prepare.split_once("calls Client::migrate").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let postgres = vulkan_devpg::shared().await;
    let database = postgres.create_database().await.unwrap();
    let options = database.connect_options();
    let admin = PgPoolOptions::new().connect_lazy_with(options.clone());
    run(&admin, before.to_owned()).await;
    let deploy = options.username(&format!("{prefix}_deploy")).password("…");
    let deploy = Client::new(PgPoolOptions::new().connect_lazy_with(deploy));
    deploy.migrate().await.unwrap();
    deploy.pool().close().await;
    run(&admin, after.to_owned()).await;
    run(
        &admin,
        format!("DROP ROLE {prefix}_deploy; {}", drop_roles(&prefix)),
    )
    .await;
    admin.close().await;
    database.close().await.unwrap();
}
