//! A cluster starts and answers.

use sqlx::{Connection, PgConnection};
use vulkan_devpg::{FAST, Postgres};

#[tokio::test]
async fn a_private_cluster_answers() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    let one: i32 = sqlx::query_scalar("select 1")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(one, 1);
    postgres.stop().await.unwrap();
}
