use std::collections::BTreeMap;

use serde_json::value::RawValue;
use vulkan::{Error, Message, Refusal};

use crate::client::support::{client, message};
use crate::support::TestDb;

fn refusal(error: Error) -> Refusal {
    assert!(!error.is_transient(), "{error:?}");
    match error {
        Error::UnknownStream(refusal) | Error::Invalid(refusal) => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_stream_is_named_with_the_way_to_make_it() {
    let db = TestDb::new().await;
    let client = client(&db);
    let nowhere = || Message::new("nowhere", "n", &1).unwrap();
    for error in [
        client.publish(nowhere()).await.unwrap_err(),
        client.publish_many([nowhere()]).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::UnknownStream(_)), "{error:?}");
        let refusal = refusal(error);
        assert_eq!(refusal.message, r#"stream "nowhere" does not exist"#);
        let hint = "Create it: SELECT vulkan.create_stream('nowhere')";
        assert_eq!(refusal.hint.as_deref(), Some(hint));
        assert_eq!(refusal.to_string(), format!("{} ({hint})", refusal.message));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_kind_is_invalid() {
    let db = TestDb::new().await;
    let client = client(&db);
    for kind in ["", "a..b", "a b", "a.*", "ä"] {
        let error = client.publish(message(kind)).await.unwrap_err();
        let refusal = refusal(error);
        assert!(refusal.message.contains(&format!("'{kind}'")), "{refusal}");
        let batch = [message("good"), message(kind)];
        client.publish_many(batch).await.unwrap_err();
    }
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.events").await,
        0
    );
}

#[test]
fn a_payload_that_is_no_json_is_told_by_its_kind() {
    let no_text_keys = BTreeMap::from([((1, 2), 3)]);
    let error = Message::new("orders", "order.placed", &no_text_keys).unwrap_err();
    assert!(matches!(&error, Error::Encode { kind, .. } if kind == "order.placed"));
    assert!(error.to_string().contains(r#""order.placed""#), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_is_refused_wherever_it_stands() {
    let db = TestDb::new().await;
    let client = client(&db);
    let nul_name = BTreeMap::from([("a\0", 1)]);
    for (place, message) in [
        ("the payload", Message::new("orders", "n", "a\0").unwrap()),
        (
            "the payload",
            Message::new("orders", "n", &nul_name).unwrap(),
        ),
        ("the kind", message("a\0")),
        ("the stream", Message::new("orders\0", "n", &1).unwrap()),
        ("the partition key", message("n").key("a\0")),
        ("the dedup id", message("n").dedup_id("a\0")),
        ("a header", message("n").header("a\0", "")),
        ("a header", message("n").header("a", "\0")),
    ] {
        let batch = [message.clone()];
        for error in [
            client.publish(message).await.unwrap_err(),
            client.publish_many(batch).await.unwrap_err(),
        ] {
            let refusal = refusal(error);
            let begins = format!("{place} of a ");
            assert!(refusal.message.starts_with(&begins), "{refusal}");
            assert!(refusal.message.contains("NUL"), "{refusal}");
            assert!(refusal.hint.is_some());
        }
    }
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.events").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_cannot_store_is_invalid_and_leaves_the_rest_alone() {
    let db = TestDb::new().await;
    let client = client(&db);
    for json in [
        r#""\ud800""#.to_owned(),
        "1e400000".into(),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        let payload = RawValue::from_string(json).unwrap();
        let bad = Message::new("orders", "bad", &payload).unwrap();
        let error = client.publish(bad.clone()).await.unwrap_err();
        assert!(refusal(error).hint.is_some());
        let error = client.publish_many([message("n"), bad]).await.unwrap_err();
        assert!(refusal(error).hint.is_some());
    }
    client.publish(message("good")).await.unwrap();
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.events").await,
        1
    );
}
