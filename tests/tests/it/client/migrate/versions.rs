use vulkan::{Client, Error};

use crate::client::support::client;
use crate::support::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_schema_the_client_says_how_to_get_it() {
    let postgres = vulkan_devpg::shared().await;
    let database = postgres.create_database().await.unwrap();
    let client = Client::connect(&database.url()).await.unwrap();
    let error = client.check_schema().await.unwrap_err();
    assert!(matches!(error, Error::NoSchema), "{error:?}");
    assert!(error.to_string().contains("Client::migrate"), "{error}");
    // A schema of that name with something else in it is not ours.
    sqlx::query("CREATE SCHEMA vulkan")
        .execute(client.pool())
        .await
        .unwrap();
    let error = client.check_schema().await.unwrap_err();
    assert!(matches!(error, Error::NoSchema), "{error:?}");
    client.migrate().await.unwrap();
    client.check_schema().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_too_new_is_refused_and_left_alone() {
    let db = TestDb::new().await;
    let client = client(&db);
    db.run("UPDATE vulkan.meta SET schema_version = 1001, min_compatible = 1000")
        .await;
    for refused in [client.check_schema().await, client.migrate().await] {
        let error = refused.unwrap_err();
        assert!(
            matches!(error, Error::SchemaTooNew { found: 1001, compatible: 1000, ours } if ours < 1000),
            "{error:?}"
        );
        let text = error.to_string();
        for word in ["1001", "1000", "deploy a newer release"] {
            assert!(text.contains(word), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_newer_but_compatible_is_worked_with() {
    let db = TestDb::new().await;
    let client = client(&db);
    // What a newer release leaves behind.
    db.run(
        "UPDATE vulkan.meta SET schema_version = 1001;
         INSERT INTO vulkan._sqlx_migrations SELECT 1001, 'newer', now(), true, 'x', 1",
    )
    .await;
    client.check_schema().await.unwrap();
    client.migrate().await.unwrap();
    let version: i32 = db.value("SELECT schema_version FROM vulkan.meta").await;
    assert_eq!(version, 1001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_too_old_asks_to_be_migrated() {
    let db = TestDb::new().await;
    db.run("UPDATE vulkan.meta SET schema_version = 0").await;
    let error = client(&db).check_schema().await.unwrap_err();
    assert!(
        matches!(error, Error::SchemaTooOld { found: 0, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("Client::migrate"), "{error}");
}
