use sqlx::{Connection, Executor, PgConnection, query_scalar};
use vulkan_devpg::{Error, Postgres};

use crate::support::{again, connect, is_child, open_directory, until, within};

#[tokio::test]
async fn what_was_committed_survives_a_crash() {
    let mut postgres = Postgres::start_private(&[]).await.unwrap();
    let mut connection = connect(&postgres.url()).await;
    connection
        .execute("create table note as select 'kept' as body")
        .await
        .unwrap();

    postgres.crash().await.unwrap();
    assert!(connection.ping().await.is_err());
    assert!(PgConnection::connect(&postgres.url()).await.is_err());

    postgres.restart().await.unwrap();
    let mut connection = connect(&postgres.url()).await;
    let body: String = query_scalar("select body from note")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(body, "kept");
}

#[tokio::test]
async fn a_server_shut_down_in_order_needs_no_recovery() {
    let mut postgres = Postgres::start_private(&[]).await.unwrap();
    let mut open = connect(&postgres.url()).await;
    // Apart from each other: what stands before a `begin` in one string is in its transaction.
    for sql in [
        "create table note as select 'kept' as body",
        "begin; insert into note values ('open')",
    ] {
        open.execute(sql).await.unwrap();
    }

    postgres.shut_down().await.unwrap();
    postgres.shut_down().await.unwrap();
    assert!(PgConnection::connect(&postgres.url()).await.is_err());

    postgres.restart().await.unwrap();
    let mut connection = connect(&postgres.url()).await;
    let notes: i64 = query_scalar("select count(*) from note")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(notes, 1);
    let log = std::fs::read_to_string(postgres.directory().unwrap().join("server.log")).unwrap();
    assert!(!log.contains("was interrupted"), "{log}");
}

#[tokio::test]
async fn a_crash_after_a_crash_is_fine() {
    let mut postgres = Postgres::start_private(&[]).await.unwrap();
    postgres.crash().await.unwrap();
    postgres.crash().await.unwrap();
    postgres.restart().await.unwrap();
    connect(&postgres.url()).await;
}

#[tokio::test]
async fn a_server_that_does_not_start_shows_its_log() {
    let error = Postgres::start_private(&[("shared_buffers", "plenty")])
        .await
        .unwrap_err();
    let Error::Server { directory, log, .. } = &error else {
        panic!("{error}");
    };
    assert!(log.contains("shared_buffers"), "{log}");
    let gone = || !directory.exists();
    until("its directory to go", gone).await;
}

#[tokio::test]
async fn a_setting_that_is_none_is_named() {
    let error = Postgres::start_private(&[("work mem", "5MB")]).await;
    let message = error.unwrap_err().to_string();
    assert!(message.contains("`work mem`"), "{message}");
}

#[tokio::test]
async fn a_long_path_is_no_obstacle() {
    const TEST: &str = "faults::a_long_path_is_no_obstacle";
    if is_child() {
        let postgres = Postgres::start_private(&[]).await.unwrap();
        connect(&postgres.url()).await;
        return postgres.stop().await.unwrap();
    }
    let base = open_directory();
    let long = base.path().join("long".repeat(30));
    std::fs::create_dir(&long).unwrap();
    let child = again(TEST, &long).output();
    let child = within("the child to end", child).await;
    assert!(child.unwrap().status.success());
}
