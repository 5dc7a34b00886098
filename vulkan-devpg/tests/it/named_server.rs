use std::path::Path;

use sqlx::Executor;
use vulkan_devpg::{Error, FAST, Postgres, shared};

use crate::support::{again, connect, has_database, hear, is_child, say, within};

/// A database that was left on the server in 2017, by its name.
const LEFTOVER: &str = "vulkan_test_015d3ef798007000800000000000000b";

#[tokio::test]
async fn the_server_of_database_url_is_used_and_left_tidy() {
    const TEST: &str = "named_server::the_server_of_database_url_is_used_and_left_tidy";
    if is_child() {
        return in_the_child().await;
    }
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let leave = format!("create database {LEFTOVER}");
    let mut connection = connect(&postgres.url()).await;
    let leave = sqlx::AssertSqlSafe(leave);
    connection.execute(sqlx::raw_sql(leave)).await.unwrap();

    let mut child = again(TEST, Path::new("/no/such/directory"))
        .env("DATABASE_URL", postgres.url())
        .spawn()
        .unwrap();
    let name = hear(&mut child).await;
    let status = within("the child to end", child.wait()).await.unwrap();

    assert!(status.success());
    assert!(!has_database(&postgres.url(), &name).await);
    assert!(!has_database(&postgres.url(), LEFTOVER).await);
}

async fn in_the_child() {
    let given = std::env::var("DATABASE_URL").unwrap();
    let mut named = Postgres::start().await.unwrap();
    assert!(!named.is_private());
    assert_eq!(named.url(), given);
    let error = named.crash().await.unwrap_err();
    assert!(matches!(error, Error::NotPrivate { .. }), "{error}");
    named.stop().await.unwrap();

    let shared = shared().await;
    assert!(!shared.is_private());
    let database = shared.create_database().await.unwrap();
    assert!(has_database(&given, database.name()).await);
    connect(&database.url()).await;
    say(database.name());
}

#[tokio::test]
async fn a_url_of_something_else_is_refused() {
    const TEST: &str = "named_server::a_url_of_something_else_is_refused";
    if is_child() {
        let error = Postgres::start().await.unwrap_err();
        assert!(matches!(error, Error::DatabaseUrl(_)), "{error}");
        return;
    }
    let child = again(TEST, Path::new("/no/such/directory"))
        .env("DATABASE_URL", "mysql://me:hunter2@localhost/one")
        .output();
    let child = within("the child to end", child).await.unwrap();
    assert!(child.status.success());
}
