use vulkan::engine::{Item, Outcome, Settlement};
use vulkan::{DryRun, Error, Status};

use crate::client::support::{client, message};
use crate::support::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_can_be_looked_at_in_every_group() {
    let db = TestDb::new().await;
    let client = client(&db);
    let (audit, mail) = (db.group("audit").await, db.group("mail").await);
    db.group("untouched").await;
    let offset = client.publish(message("n")).await.unwrap();
    let claimed = client.claim(audit.id, "w1", 1, 1, true).await.unwrap();
    let settlement = Settlement {
        claims: vec![(claimed[0].claim_hi.unwrap(), claimed[0].token)],
        items: vec![Item {
            offset,
            token: claimed[0].token,
            lane: None,
            outcome: Outcome::Dead {
                error: "no such account".into(),
            },
        }],
    };
    client.settle(audit.id, settlement).await.unwrap();
    client.claim(mail.id, "w2", 1, 1, true).await.unwrap();

    let found = client.inspect(offset).await.unwrap();
    let names: Vec<&str> = found.iter().map(|row| row.group.as_str()).collect();
    assert_eq!(names, ["audit", "mail", "untouched"]);
    let [dead, processing, ready] = &found[..] else {
        panic!()
    };
    assert_eq!(
        (
            dead.stream.as_str(),
            dead.status,
            dead.attempts,
            dead.max_attempts
        ),
        ("orders", Status::Dead, 1, 6)
    );
    assert_eq!(dead.last_error.as_deref(), Some("no such account"));
    assert_eq!(dead.worker.as_deref(), Some("w1"));
    assert!(
        dead.claimed_at.is_some() && dead.updated_at >= dead.claimed_at && dead.run_at.is_none()
    );
    assert_eq!(
        (processing.status, processing.attempts),
        (Status::Processing, 1)
    );
    assert_eq!(processing.worker.as_deref(), Some("w2"));
    assert!(processing.lease_until > processing.claimed_at);
    assert_eq!((ready.status, ready.attempts), (Status::Ready, 0));
    assert!(ready.run_at.is_some() && ready.worker.is_none() && ready.lease_until.is_none());

    assert_eq!(client.inspect(offset + 1_000).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_can_be_skipped_and_first_tried_dry() {
    let db = TestDb::new().await;
    let (client, group) = (client(&db), db.group("audit").await);
    let offset = client.publish(message("n")).await.unwrap();
    let skip = async |dry_run| {
        client
            .skip("orders", "audit", offset, Some("a bad one"), dry_run)
            .await
            .unwrap()
    };
    assert_eq!(skip(DryRun::Yes).await, Status::Ready);
    assert_eq!(
        client.inspect(offset).await.unwrap()[0].status,
        Status::Ready
    );
    assert_eq!(skip(DryRun::No).await, Status::Ready);
    assert_eq!(skip(DryRun::No).await, Status::Done);
    let row = client.inspect(offset).await.unwrap().remove(0);
    assert_eq!(
        (row.status, row.last_error.as_deref()),
        (Status::Done, Some("skipped: a bad one"))
    );
    assert!(
        client
            .claim(group.id, "w", 1, 1, true)
            .await
            .unwrap()
            .is_empty()
    );

    let error = client
        .skip("orders", "audit", offset + 1_000, None, DryRun::No)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::NoMessage(refusal) if refusal.hint.is_some()),
        "{error:?}"
    );
    assert!(error.to_string().contains("audit"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_group_hands_out_nothing_until_it_is_resumed() {
    let db = TestDb::new().await;
    let (client, group) = (client(&db), db.group("audit").await);
    client
        .publish_many((0..3).map(|_| message("n")))
        .await
        .unwrap();
    let claim = async || client.claim(group.id, "w", 1, 1, true).await.unwrap().len();
    assert_eq!(claim().await, 1);
    for (dry_run, handed_out) in [(DryRun::Yes, 1), (DryRun::No, 0)] {
        let in_flight = client.pause("orders", "audit", dry_run).await.unwrap();
        assert_eq!(in_flight, if dry_run == DryRun::Yes { 1 } else { 2 });
        assert_eq!(claim().await, handed_out);
    }
    for (dry_run, handed_out) in [(DryRun::Yes, 0), (DryRun::No, 1)] {
        assert_eq!(client.resume("orders", "audit", dry_run).await.unwrap(), 1);
        assert_eq!(claim().await, handed_out);
    }
}
