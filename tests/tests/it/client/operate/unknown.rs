use vulkan::{DryRun, Error, GroupOptions, Position, Redrive};

use crate::client::support::client;
use crate::support::TestDb;

/// Every call that takes names says which of them there is not, and what to do.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_are_told_apart_by_every_call() {
    let db = TestDb::new().await;
    let client = client(&db);
    for (stream, name) in [("nowhere", "nowhere"), ("orders", "nobody")] {
        let group = "nobody";
        let errors = [
            client.pause(stream, group, DryRun::Yes).await.unwrap_err(),
            client.resume(stream, group, DryRun::No).await.unwrap_err(),
            client
                .skip(stream, group, 1, None, DryRun::No)
                .await
                .unwrap_err(),
            client
                .redrive(stream, group, Redrive::default(), DryRun::No)
                .await
                .unwrap_err(),
            client
                .replay(stream, group, Position::Earliest, DryRun::No)
                .await
                .unwrap_err(),
        ];
        for error in errors {
            let ((Error::UnknownStream(refusal), "nowhere")
            | (Error::UnknownGroup(refusal), "nobody")) = (&error, name)
            else {
                panic!("{stream}: {error:?}");
            };
            assert!(
                refusal.message.contains(name) && refusal.hint.is_some(),
                "{error}"
            );
            assert!(!error.is_transient());
        }
    }
    let options = GroupOptions::default();
    for error in [
        client
            .ensure_group("nowhere", "audit", options)
            .await
            .unwrap_err(),
        client.stream_id("nowhere").await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::UnknownStream(_)), "{error:?}");
    }
    let error = client.create_stream("No Name").await.unwrap_err();
    assert!(matches!(error, Error::Name(_)), "{error:?}");
    let error = client.claim(0, "w", 1, 1, true).await.unwrap_err();
    assert!(matches!(error, Error::UnknownGroup(_)), "{error:?}");

    db.group("audit").await;
    let nobody = Position::Group("nobody".parse().unwrap());
    let error = client
        .replay("orders", "audit", nobody, DryRun::No)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::UnknownGroup(_)), "{error:?}");
    let below = Position::After(-1);
    let error = client
        .replay("orders", "audit", below, DryRun::No)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
}

/// The same stream twice is one stream.
#[tokio::test(flavor = "multi_thread")]
async fn streams_are_made_once() {
    let db = TestDb::new().await;
    let client = client(&db);
    let made = client.create_stream("payments").await.unwrap();
    assert_eq!(client.create_stream("payments").await.unwrap(), made);
    assert_eq!(client.stream_id("payments").await.unwrap(), made);
    assert_ne!(client.stream_id("orders").await.unwrap(), made);
}
