use sqlx::{Executor, PgPool, query_scalar};
use vulkan_devpg::{FAST, Postgres, TestDatabase};

use crate::support::{connect, has_database, within};

async fn count(database: &TestDatabase) -> i64 {
    let mut connection = connect(&database.url()).await;
    query_scalar("select count(*) from note")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

async fn migrate(database: &TestDatabase) {
    let mut connection = connect(&database.url()).await;
    connection
        .execute("create table note (body text); insert into note values ('first')")
        .await
        .unwrap();
}

// Each test has a cluster of its own: a shared one belongs to all the tests of
// the process, while these look at all the databases there are.

#[tokio::test]
async fn databases_are_isolated() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let one = postgres.create_database().await.unwrap();
    let other = postgres.create_database().await.unwrap();
    assert_ne!(one.name(), other.name());
    migrate(&one).await;
    migrate(&other).await;
    assert_eq!(count(&one).await, 1);
}

#[tokio::test]
async fn a_database_goes_with_its_value_whoever_is_connected() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let name = database.name().to_owned();
    let pool = PgPool::connect_with(database.connect_options())
        .await
        .unwrap();
    let _in_use = pool.acquire().await.unwrap();
    assert!(has_database(&postgres.url(), &name).await);
    drop(database);
    assert!(!has_database(&postgres.url(), &name).await);
}

#[tokio::test]
async fn close_drops_it_too() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let name = database.name().to_owned();
    database.close().await.unwrap();
    assert!(!has_database(&postgres.url(), &name).await);
}

#[tokio::test]
async fn a_template_is_copied_many_times_at_once() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let template = postgres.create_database().await.unwrap();
    migrate(&template).await;
    let copy = || postgres.create_database_from(template.name());
    let copies = tokio::try_join!(copy(), copy(), copy(), copy()).unwrap();
    for copy in [copies.0, copies.1, copies.2, copies.3] {
        assert_eq!(count(&copy).await, 1);
    }
}

#[tokio::test]
async fn a_missing_template_is_named() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let error = postgres.create_database_from("no such").await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("\"no such\""), "{cause}");
}

#[tokio::test]
async fn a_database_may_outlive_its_server() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    postgres.stop().await.unwrap();
    within("the database to drop", async { drop(database) }).await;
}
