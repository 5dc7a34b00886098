use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use vulkan::HandlerOptions;

use super::support::{Gate, Running, on, options};
use crate::support::{Publish, TestDb};

/// What was handled of each key, and which keys are in work.
#[derive(Default)]
struct Record {
    handled: HashMap<String, Vec<(i64, u32)>>,
    in_work: HashSet<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_workers_keep_the_order_of_every_key() {
    let db = TestDb::new().await;
    let record = Arc::new(Mutex::new(Record::default()));
    let handler = || {
        let record = Arc::clone(&record);
        on(options("ordered"), move |delivery| {
            let key = delivery.key().unwrap().to_owned();
            let (offset, attempt) = (delivery.offset(), delivery.attempt());
            let record = Arc::clone(&record);
            Box::pin(async move {
                {
                    let mut record = record.lock().unwrap();
                    assert!(
                        record.in_work.insert(key.clone()),
                        "{key} is in work already"
                    );
                    record
                        .handled
                        .entry(key.clone())
                        .or_default()
                        .push((offset, attempt));
                }
                tokio::task::yield_now().await;
                record.lock().unwrap().in_work.remove(&key);
                // Every seventh message fails once.
                if offset % 7 == 0 && attempt == 1 {
                    return Err("not this time".into());
                }
                Ok(())
            })
        })
    };
    let mut workers = Vec::new();
    for _ in 0..3 {
        let builder = db.worker().await.concurrency(4).register(handler());
        workers.push(Running::start(builder));
    }
    let mut published: HashMap<String, Vec<i64>> = HashMap::new();
    for nth in 0..600 {
        let key = format!("key-{}", nth * nth % 23);
        let offset = Publish::keyed(&key).send(&db.pool).await;
        published.entry(key).or_default().push(offset);
    }
    db.until_done("ordered", 600).await;
    for running in workers {
        running.stop().await.unwrap();
    }
    let handled = std::mem::take(&mut record.lock().unwrap().handled);
    for (key, offsets) in published {
        let expected: Vec<_> = offsets
            .into_iter()
            .flat_map(|offset| {
                let attempts = if offset % 7 == 0 { 2 } else { 1 };
                (1..=attempts).map(move |attempt| (offset, attempt))
            })
            .collect();
        assert_eq!(handled[&key], expected, "{key}");
    }
    db.check().await;
}

#[tokio::test]
async fn a_key_that_fails_holds_back_itself_alone() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    // The group's own backoff: two seconds that nobody waits for.
    let handler = on(HandlerOptions::new("orders", "lonely"), move |delivery| {
        gate.tell(delivery.offset());
        let fails = delivery.key() == Some("bad") && delivery.attempt() == 1;
        Box::pin(async move {
            match fails {
                true => Err("not this time".into()),
                false => Ok(()),
            }
        })
    });
    let bad = Publish::keyed("bad").send(&db.pool).await;
    let waits = Publish::keyed("bad").send(&db.pool).await;
    let running = Running::start(db.worker().await.register(handler));
    db.until_is("lonely", bad, "ready", 1).await;
    let mut others = vec![bad];
    for nth in 0..20 {
        others.push(
            Publish::keyed(&format!("good-{}", nth % 3))
                .send(&db.pool)
                .await,
        );
        others.push(Publish::new("unkeyed").send(&db.pool).await);
    }
    db.until_done("lonely", 40).await;
    assert_eq!(came.take(41).await, others);
    assert!(came.nothing_else());
    assert!(db.stand("lonely", waits).await.is("ready", 0));

    db.all_due().await;
    assert_eq!((came.next().await, came.next().await), (bad, waits));
    db.until_is("lonely", bad, "done", 2).await;
    db.until_is("lonely", waits, "ready", 1).await;
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn a_run_stops_at_its_first_failure() {
    let db = TestDb::new().await;
    let mut offsets = Vec::new();
    for _ in 0..6 {
        offsets.push(Publish::keyed("k").send(&db.pool).await);
    }
    let third = offsets[2];
    let (gate, mut came) = Gate::new();
    let handler = on(HandlerOptions::new("orders", "run"), move |delivery| {
        gate.tell(delivery.offset());
        let fails = delivery.offset() == third && delivery.attempt() == 1;
        Box::pin(async move {
            match fails {
                true => Err("not this time".into()),
                false => Ok(()),
            }
        })
    });
    let running = Running::start(db.worker().await.register(handler));
    for offset in &offsets[..3] {
        assert_eq!(came.next().await, *offset);
    }
    db.until_is("run", third, "ready", 1).await;
    assert!(came.nothing_else());
    for offset in &offsets[..2] {
        assert!(db.stand("run", *offset).await.is("done", 1));
    }
    db.all_due().await;
    for offset in &offsets[2..] {
        assert_eq!(came.next().await, *offset);
    }
    db.until_done("run", 6).await;
    assert!(db.stand("run", third).await.is("done", 2));
    assert!(db.stand("run", offsets[3]).await.is("done", 1));
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn a_slow_key_keeps_one_slot_busy_and_not_the_others() {
    let db = TestDb::new().await;
    for _ in 0..10 {
        Publish::keyed("slow").send(&db.pool).await;
    }
    let (gate, mut came) = Gate::new();
    let handler = on(options("slots"), move |delivery| {
        let (gate, slow, offset) = (
            gate.clone(),
            delivery.key() == Some("slow"),
            delivery.offset(),
        );
        Box::pin(async move {
            if slow {
                gate.pass(offset).await;
            }
            Ok(())
        })
    });
    let running = Running::start(db.worker().await.concurrency(2).register(handler));
    came.next().await;
    let other = Publish::keyed("other").send(&db.pool).await;
    let unkeyed = Publish::new("unkeyed").send(&db.pool).await;
    db.until_is("slots", other, "done", 1).await;
    db.until_is("slots", unkeyed, "done", 1).await;
    assert!(came.nothing_else());
    came.let_all_go();
    db.until_done("slots", 12).await;
    running.stop().await.unwrap();
    db.check().await;
}
