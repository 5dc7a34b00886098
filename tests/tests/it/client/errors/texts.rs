use std::error::Error as _;
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use vulkan::{Client, Error};

use crate::client::support::{client, message};
use crate::support::{TestDb, within};

/// An error with all its causes, as a log would have it.
fn in_full(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_ever_shown() {
    let url = "postgres://user:s3cret@127.0.0.1:1/database";
    let client = Client::connect(url).await.unwrap();
    assert!(!format!("{client:?}").contains("s3cret"));
    let impatient = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(200))
        .connect_lazy(url)
        .unwrap();
    let client = Client::new(impatient);
    assert!(!format!("{client:?}").contains("s3cret"));
    let error = within("the call to fail", client.publish(message("n")))
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(!in_full(&error).contains("s3cret"), "{}", in_full(&error));

    for bad in [
        "postgres://user:s3cret@host:port/database",
        "postgres://user:s3cret@[::1/database",
        "postgres://user:s3cret@host/database?sslmode=s3rious",
        "user:s3cret",
    ] {
        let error = Client::connect(bad).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("postgres://user@host:5432/database"),
            "{error}"
        );
        assert!(!error.is_transient(), "{error:?}");
        assert!(!in_full(&error).contains("s3cret"), "{}", in_full(&error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_not_shown() {
    let db = TestDb::new().await;
    let options = (*db.pool.connect_options()).clone();
    let options = options.username("nobody_of_that_name").password("s3cret");
    let client = Client::new(PgPoolOptions::new().connect_lazy_with(options));
    let error = client.overview().await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("SQLSTATE 28"), "{error}");
    assert!(!in_full(&error).contains("s3cret"), "{}", in_full(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_database_gives_its_code_and_its_own_words_below() {
    let db = TestDb::new().await;
    let client = client(&db);
    db.run("DROP FUNCTION vulkan.inspect(bigint)").await;
    let error = client.inspect(1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the database refused the call with SQLSTATE 42883"
    );
    assert!(
        error
            .source()
            .unwrap()
            .to_string()
            .contains("vulkan.inspect")
    );
    assert!(!error.is_transient());

    client.pool().close().await;
    let error = client.inspect(1).await.unwrap_err();
    assert_eq!(error.to_string(), "the pool is closed; make a new client");
    assert!(!error.is_transient());
}
