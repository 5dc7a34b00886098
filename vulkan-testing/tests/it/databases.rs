use sqlx::migrate::Migrator;
use vulkan_testing::TestApp;

use crate::support::{OrderPlaced, failure};

static MIGRATIONS: Migrator = sqlx::migrate!("tests/it/migrations");

#[tokio::test]
async fn each_test_has_its_own() {
    let (first, second) = (TestApp::new().await, TestApp::new().await);
    first.publish(&OrderPlaced { id: 1 }).await;
    assert_eq!(first.published::<OrderPlaced>().payloads().await.len(), 1);
    second.published::<OrderPlaced>().assert_none().await;
    assert_ne!(first.url(), second.url());
}

#[tokio::test]
async fn it_goes_with_the_value_though_somebody_is_connected() {
    let app = TestApp::new().await;
    let _connected = app.connect().await;
    let name: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(app.pool())
        .await
        .unwrap();
    drop(app);
    let there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(TestApp::new().await.pool())
            .await
            .unwrap();
    assert!(!there);
}

#[tokio::test]
async fn migrations_of_ones_own_stand_beside_vulkans() {
    for order in 1..=2 {
        let app = TestApp::with_migrations(&MIGRATIONS).await;
        let mut tx = app.client().begin().await.unwrap();
        sqlx::query("INSERT INTO invoices VALUES (1)")
            .execute(&mut *tx)
            .await
            .unwrap();
        app.client().create_stream("orders").await.unwrap();
        let client = app.client();
        client
            .publish_in(&mut *tx, &OrderPlaced { id: order })
            .await
            .unwrap();
        tx.commit().await.unwrap();
        app.check().await;
    }
}

#[tokio::test]
async fn a_set_up_runs_once_for_all_copies() {
    async fn app() -> TestApp {
        TestApp::with_setup(async |client| {
            client.create_stream("orders").await?;
            sqlx::raw_sql(
                "CREATE TABLE made (at timestamptz); INSERT INTO made VALUES (clock_timestamp())",
            )
            .execute(client.pool())
            .await?;
            Ok(())
        })
        .await
    }
    let made = async || {
        sqlx::query_scalar::<_, String>("SELECT at::text FROM made")
            .fetch_one(app().await.pool())
            .await
            .unwrap()
    };
    let (first, second, third) = tokio::join!(made(), made(), made());
    assert_eq!((&first, &first), (&second, &third));
}

#[tokio::test]
async fn a_set_up_that_fails_says_why() {
    let set_up = async |client: vulkan::Client| {
        sqlx::raw_sql("CREATE TABLE invoices (order_id nonsense)")
            .execute(client.pool())
            .await?;
        Ok(())
    };
    let text = failure(TestApp::with_setup(set_up)).await;
    assert!(
        text.starts_with("the set-up of the tests' template failed: "),
        "{text}"
    );
    assert!(text.contains(r#"type "nonsense" does not exist"#), "{text}");
    assert!(text.contains("databases.rs"), "{text}");
}
