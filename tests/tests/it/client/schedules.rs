use std::time::Duration;

use chrono::{TimeDelta, Timelike, Utc};
use serde_json::json;
use vulkan::{Error, Message, Missed, Schedule, ScheduleMistake};

use crate::client::support::client;
use crate::support::TestDb;

fn event() -> Message {
    Message::new("orders", "tick", &json!({"a": 1}))
        .unwrap()
        .key("k")
        .header("h", "v")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_put_and_looked_at() {
    let db = TestDb::new().await;
    let client = client(&db);
    let nightly = Schedule::cron("nightly", "30 3 * * *")
        .time_zone("Europe/Zurich")
        .missed(Missed::All)
        .event(event());
    let often = Schedule::every("often", Duration::from_millis(1_500)).event(event());
    assert!(client.put_schedule(&nightly).await.unwrap());
    assert!(!client.put_schedule(&nightly).await.unwrap());
    assert!(client.put_schedule(&often).await.unwrap());

    let [one, two] = client.schedules().await.unwrap().try_into().unwrap();
    assert_eq!(
        (
            one.schedule.as_str(),
            one.stream.as_str(),
            one.kind.as_str()
        ),
        ("nightly", "orders", "tick")
    );
    assert_eq!((one.cron.as_deref(), one.every), (Some("30 3 * * *"), None));
    assert_eq!(
        (one.time_zone.as_str(), one.missed),
        ("Europe/Zurich", Missed::All)
    );
    // Without any worker.
    let next = one.next_at.unwrap();
    assert_eq!(next.minute(), 30);
    assert!(next > Utc::now() && next < Utc::now() + TimeDelta::hours(26));
    assert_eq!(
        (two.cron, two.every),
        (None, Some(Duration::from_millis(1_500)))
    );
    assert_eq!(
        (two.last_at, two.last_offset, two.last_error, two.paused_at),
        (None, None, None, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_paused_resumed_run_and_forgotten() {
    let db = TestDb::new().await;
    let client = client(&db);
    let schedule = Schedule::cron("s", "* * * * *").event(event());
    client.put_schedule(&schedule).await.unwrap();
    assert!(client.pause_schedule("s").await.unwrap());
    assert!(!client.pause_schedule("s").await.unwrap());
    let one = client.schedules().await.unwrap().remove(0);
    assert!(one.paused_at.is_some() && one.next_at.is_none());
    db.run("UPDATE vulkan.schedules SET next_at = clock_timestamp() - interval '1 day'")
        .await;
    assert!(client.resume_schedule("s").await.unwrap());
    let one = client.schedules().await.unwrap().remove(0);
    assert!(one.paused_at.is_none() && one.next_at.unwrap() > Utc::now() - TimeDelta::seconds(1));

    let offset = client.run_schedule_now("s").await.unwrap();
    let (kind, key, header): (String, String, String) = sqlx::query_as(
        "SELECT kind, partition_key, headers ->> 'h' FROM vulkan.events WHERE \"offset\" = $1",
    )
    .bind(offset)
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!(
        (kind.as_str(), key.as_str(), header.as_str()),
        ("tick", "k", "v")
    );
    assert!(client.delete_schedule("s").await.unwrap());
    assert!(!client.delete_schedule("s").await.unwrap());
    for error in [
        client.pause_schedule("s").await.unwrap_err(),
        client.resume_schedule("s").await.unwrap_err(),
        client.run_schedule_now("s").await.unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::UnknownSchedule(refusal) if refusal.hint.is_some()),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_put_says_why() {
    let db = TestDb::new().await;
    let client = client(&db);
    let schedule = Schedule::cron("s", "0 25 * * *").event(event());
    let error = client.put_schedule(&schedule).await.unwrap_err();
    let Error::Schedule(error) = error else {
        panic!("{error:?}");
    };
    assert!(
        matches!(error.mistakes(), [ScheduleMistake::Cron(_)]),
        "{error}"
    );
    let nowhere = Message::new("nowhere", "tick", &1).unwrap();
    let schedule = Schedule::cron("s", "0 3 * * *").event(nowhere);
    let error = client.put_schedule(&schedule).await.unwrap_err();
    assert!(matches!(error, Error::UnknownStream(_)), "{error:?}");
    assert_eq!(client.schedules().await.unwrap(), []);
}
