use vulkan::{Client, DryRun, Redrive, Status};

use crate::client::support::{client, message};
use crate::support::{Group, TestDb};

/// Dead letters of these kinds, each with an error that ends in its offset.
async fn dead(client: &Client, group: &Group, kinds: &[&str]) -> Vec<i64> {
    let mut offsets = Vec::new();
    for kind in kinds {
        offsets.push(client.publish(message(kind)).await.unwrap());
        let message = group.claim_one().await;
        group.settle_one(&message, "dead").await;
    }
    offsets
}

async fn statuses(client: &Client, offsets: &[i64]) -> Vec<Status> {
    let mut statuses = Vec::new();
    for offset in offsets {
        statuses.push(client.inspect(*offset).await.unwrap()[0].status);
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_picks_what_it_says() {
    let db = TestDb::new().await;
    let (client, group) = (client(&db), db.group("audit").await);
    let offsets = dead(&client, &group, &["a.x", "a.y", "b.x", "b.y"]).await;
    let all = Redrive::default;
    let filters = [
        (all(), vec![0, 1, 2, 3]),
        (
            Redrive {
                kinds: Some("a.*".parse().unwrap()),
                ..all()
            },
            vec![0, 1],
        ),
        (
            Redrive {
                error_like: Some(format!("%of {}", offsets[2])),
                ..all()
            },
            vec![2],
        ),
        (
            Redrive {
                error_like: Some("nothing like it".into()),
                ..all()
            },
            vec![],
        ),
        (
            Redrive {
                from_offset: Some(offsets[2]),
                ..all()
            },
            vec![2, 3],
        ),
        (
            Redrive {
                to_offset: Some(offsets[2]),
                ..all()
            },
            vec![0, 1, 2],
        ),
        (
            Redrive {
                at_most: Some(3),
                ..all()
            },
            vec![0, 1, 2],
        ),
        (
            Redrive {
                kinds: Some("*.y".parse().unwrap()),
                from_offset: Some(offsets[1]),
                at_most: Some(1),
                ..all()
            },
            vec![1],
        ),
    ];
    for (filter, picks) in filters {
        let count = i64::try_from(picks.len()).unwrap();
        let redrive = async |dry_run| {
            client
                .redrive("orders", "audit", filter.clone(), dry_run)
                .await
                .unwrap()
        };
        assert_eq!(redrive(DryRun::Yes).await, count, "{filter:?}");
        assert_eq!(
            statuses(&client, &offsets).await,
            [Status::Dead; 4],
            "{filter:?}"
        );
        assert_eq!(redrive(DryRun::No).await, count, "{filter:?}");
        let ready: Vec<usize> = statuses(&client, &offsets)
            .await
            .into_iter()
            .enumerate()
            .filter_map(|(nth, status)| (status == Status::Ready).then_some(nth))
            .collect();
        assert_eq!(ready, picks, "{filter:?}");
        db.run("UPDATE vulkan.exceptions SET status = 'dead'").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_message_begins_anew() {
    let db = TestDb::new().await;
    let (client, group) = (client(&db), db.group("audit").await);
    let offsets = dead(&client, &group, &["a"]).await;
    let redriven = client
        .redrive("orders", "audit", Redrive::default(), DryRun::No)
        .await;
    assert_eq!(redriven.unwrap(), 1);
    let again = client.claim(group.id, "w", 1, 1, true).await.unwrap();
    assert_eq!((again[0].offset, again[0].attempt), (offsets[0], 1));
}
