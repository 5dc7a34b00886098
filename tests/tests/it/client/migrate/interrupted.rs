use sqlx::PgPool;
use vulkan::{Client, Error, Message};

use crate::client::support::until;
use crate::support::within;

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// Makes every CREATE VIEW do this first; the first view is somewhere in the midst of the migrations.
async fn at_the_first_view(pool: &PgPool, what: &'static str) {
    let sql = format!(
        "CREATE FUNCTION public.at_view() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN {what} END $$;
         CREATE EVENT TRIGGER at_view ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION public.at_view()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(pool)
        .await
        .unwrap();
}

async fn works(client: &Client) {
    client.check_schema().await.unwrap();
    client.create_stream("orders").await.unwrap();
    let message = Message::new("orders", "n", &1).unwrap();
    client.publish(message).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_whose_connection_is_lost_can_be_run_again() {
    let postgres = vulkan_devpg::shared().await;
    let database = postgres.create_database().await.unwrap();
    let client = Client::connect(&database.url()).await.unwrap();
    let pool = client.pool().clone();
    at_the_first_view(&pool, "PERFORM pg_advisory_xact_lock(4242);").await;
    let mut holder = pool.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(4242)")
        .execute(&mut *holder)
        .await
        .unwrap();

    let migrating = tokio::spawn({
        let client = client.clone();
        async move { client.migrate().await }
    });
    until("the migration to be in its midst", async || {
        count(
            &pool,
            "SELECT count(*) FROM pg_locks WHERE objid = 4242 AND NOT granted",
        )
        .await
            > 0
    })
    .await;
    run(
        &pool,
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
         WHERE l.objid = 4242 AND NOT l.granted AND a.datname = current_database()",
    )
    .await;
    let error = within("the migration to fail", migrating)
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, Error::Migrate(_)), "{error:?}");
    assert!(error.is_transient(), "{error:?}");

    // What came before is kept, and taken for no more than it is.
    let kept = count(&pool, "SELECT count(*) FROM vulkan._sqlx_migrations").await;
    assert!(kept > 0, "the trigger came too early for this test");
    let error = client.check_schema().await.unwrap_err();
    assert!(matches!(error, Error::SchemaTooOld { .. }), "{error:?}");

    run(&pool, "DROP EVENT TRIGGER at_view").await;
    within("the migration to go on", client.migrate())
        .await
        .unwrap();
    assert!(count(&pool, "SELECT count(*) FROM vulkan._sqlx_migrations").await > kept);
    works(&client).await;
}

/// sqlx's migrator keeps its session lock when it fails; it must not live on in the pool.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_migration_locks_nobody_out() {
    let postgres = vulkan_devpg::shared().await;
    let database = postgres.create_database().await.unwrap();
    let client = Client::connect(&database.url()).await.unwrap();
    at_the_first_view(client.pool(), "RAISE 'no views today';").await;
    let error = client.migrate().await.unwrap_err();
    assert!(matches!(error, Error::Migrate(_)), "{error:?}");
    assert!(!error.is_transient(), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("no views today"), "{cause}");

    run(client.pool(), "DROP EVENT TRIGGER at_view").await;
    let other = Client::connect(&database.url()).await.unwrap();
    within("another process to migrate", other.migrate())
        .await
        .unwrap();
    works(&client).await;
}
