use std::time::Duration;

use vulkan::{Backoff, Binding, Error, GroupOptions, OnDead, Start};

use crate::client::support::{client, message};
use crate::support::TestDb;

fn bound_to(kind: &str) -> Option<Vec<Binding>> {
    Some(vec![Binding::kind(kind.parse().unwrap())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_takes_the_options_it_is_given_and_keeps_the_rest() {
    let db = TestDb::new().await;
    let client = client(&db);
    let ensure = async |options| {
        client
            .ensure_group("orders", "audit", options)
            .await
            .unwrap()
    };
    let id = ensure(GroupOptions::default()).await;
    let standing = client.standing(id).await.unwrap();
    assert_eq!(
        (standing.max_attempts, standing.lease),
        (6, Duration::from_secs(30))
    );

    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let options = GroupOptions {
        max_attempts: Some(3),
        backoff: Some(Backoff::new(minutes(1), minutes(2))),
        lease: Some(minutes(5)),
        on_dead: Some(OnDead::Block),
        ..GroupOptions::default()
    };
    assert_eq!(ensure(options).await, id);
    assert_eq!(ensure(GroupOptions::default()).await, id);
    let standing = client.standing(id).await.unwrap();
    assert_eq!((standing.max_attempts, standing.lease), (3, minutes(5)));
    let stored: String = db
        .value("SELECT concat_ws(' ', backoff_initial, backoff_max, on_dead) FROM vulkan.groups")
        .await;
    assert_eq!(stored, "00:01:00 00:02:00 block");

    // As a program that starts with no more than one option to say.
    let options = GroupOptions {
        max_attempts: Some(4),
        ..GroupOptions::default()
    };
    ensure(options).await;
    let standing = client.standing(id).await.unwrap();
    assert_eq!((standing.max_attempts, standing.lease), (4, minutes(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_bound_from_the_first_moment() {
    let db = TestDb::new().await;
    let client = client(&db);
    let options = GroupOptions {
        bindings: bound_to("order.>"),
        ..GroupOptions::default()
    };
    let id = client
        .ensure_group("orders", "audit", options)
        .await
        .unwrap();
    // One binding, from the beginning: it was never bound to anything else.
    let bindings: Vec<i64> = db
        .value("SELECT array_agg(from_offset) FROM vulkan.bindings")
        .await;
    assert_eq!(bindings, [-1]);
    client.publish(message("other")).await.unwrap();
    let placed = client.publish(message("order.placed")).await.unwrap();
    let claimed = client.claim(id, "w", 10, 10, true).await.unwrap();
    assert_eq!(
        claimed.iter().map(|m| m.offset).collect::<Vec<_>>(),
        [placed]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_bound_anew_changes_from_its_cursor_on() {
    let db = TestDb::new().await;
    let client = client(&db);
    let ensure = async |kind: &str, start| {
        let options = GroupOptions {
            bindings: bound_to(kind),
            start,
            ..GroupOptions::default()
        };
        client
            .ensure_group("orders", "audit", options)
            .await
            .unwrap()
    };
    client.publish(message("before")).await.unwrap();
    let id = ensure(">", Start::Latest).await;
    let first = client.publish(message("a")).await.unwrap();
    let claimed = client.claim(id, "w", 10, 10, true).await.unwrap();
    assert_eq!(
        claimed.iter().map(|m| m.offset).collect::<Vec<_>>(),
        [first]
    );
    // Where it starts counts only once.
    ensure("b", Start::Earliest).await;
    client.publish(message("a")).await.unwrap();
    let wanted = client.publish(message("b")).await.unwrap();
    let claimed = client.claim(id, "w", 10, 10, true).await.unwrap();
    assert_eq!(
        claimed.iter().map(|m| m.offset).collect::<Vec<_>>(),
        [wanted]
    );
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_options_are_invalid_and_make_no_group() {
    let db = TestDb::new().await;
    let client = client(&db);
    let second = Duration::from_secs(1);
    let default = GroupOptions::default;
    let bad = [
        GroupOptions {
            max_attempts: Some(0),
            ..default()
        },
        GroupOptions {
            max_attempts: Some(u32::MAX),
            ..default()
        },
        GroupOptions {
            backoff: Some(Backoff::new(Duration::ZERO, second)),
            ..default()
        },
        GroupOptions {
            backoff: Some(Backoff::new(2 * second, second)),
            ..default()
        },
        GroupOptions {
            lease: Some(Duration::ZERO),
            ..default()
        },
        GroupOptions {
            bindings: Some(Vec::new()),
            ..default()
        },
    ];
    for options in bad {
        let text = format!("{options:?}");
        let error = client
            .ensure_group("orders", "audit", options)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::Invalid(refusal) if refusal.hint.is_some()),
            "{text}: {error:?}"
        );
    }
    let error = client
        .ensure_group("orders", "No", default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Name(_)), "{error:?}");
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.groups").await,
        0
    );
}
