use chrono::{DateTime, Utc};
use vulkan::{DryRun, Position};

use crate::client::support::{client, message};
use crate::support::{TestDb, offsets as offsets_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_set_to_each_kind_of_position() {
    let db = TestDb::new().await;
    let (client, group) = (client(&db), db.group("audit").await);
    let other = db.group("mail").await;
    let mut offsets = client
        .publish_many([message("n"), message("n")])
        .await
        .unwrap();
    let between: DateTime<Utc> = db.value("SELECT clock_timestamp()").await;
    offsets.extend(
        client
            .publish_many([message("n"), message("n")])
            .await
            .unwrap(),
    );
    // One of the four is with the other group, all with ours.
    client.claim(other.id, "w", 1, 1, true).await.unwrap();
    let all = group.claim().await;
    assert_eq!(offsets_of(&all), offsets);
    group.done(&all).await;
    let top = offsets[3];

    for (position, cursor, from) in [
        (Position::Earliest, 0, 0),
        (Position::Latest, top, 4),
        (Position::After(offsets[2]), offsets[2], 3),
        (Position::At(between), offsets[1], 2),
        (Position::Group("mail".parse().unwrap()), offsets[0], 1),
    ] {
        let was = group.cursor().await;
        let replay = async |dry_run| {
            client
                .replay("orders", "audit", position.clone(), dry_run)
                .await
                .unwrap()
        };
        let dry = replay(DryRun::Yes).await;
        assert_eq!(group.cursor().await, was, "{position:?}");
        let done = replay(DryRun::No).await;
        assert_eq!(dry, done, "{position:?}");
        assert_eq!(
            (done.cursor_was, done.cursor_is),
            (was, cursor),
            "{position:?}"
        );
        let between = |after: i64, up_to: i64| {
            let within = offsets.iter().filter(|o| **o > after && **o <= up_to);
            i64::try_from(within.count()).unwrap()
        };
        assert_eq!(done.again, between(cursor, was), "{position:?}");
        assert_eq!(done.passed_over, between(was, cursor), "{position:?}");
        let again = group.claim().await;
        assert_eq!(offsets_of(&again), offsets[from..], "{position:?}");
        group.done(&again).await;
        db.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_counts_what_it_fences_and_forgets() {
    let db = TestDb::new().await;
    let (client, group) = (client(&db), db.group("audit").await);
    client.publish(message("dead")).await.unwrap();
    let first = group.claim_one().await;
    group.settle_one(&first, "dead").await;
    client.publish(message("in-flight")).await.unwrap();
    let held = group.claim_one().await;
    let done = client
        .replay("orders", "audit", Position::Earliest, DryRun::No)
        .await
        .unwrap();
    assert_eq!((done.again, done.fenced, done.forgotten), (2, 1, 1));
    let verdicts = group.settle_one(&held, "retry").await;
    assert!(verdicts.iter().all(|v| v.verdict == "stale") && !verdicts.is_empty());
}
