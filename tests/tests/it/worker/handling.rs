use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;
use vulkan::{Delivery, Event, State, Worker, WorkerEvent, handler};

use super::support::{Gate, Running, on, options, until};
use crate::support::{Publish, TestDb, within};

#[derive(serde::Serialize, serde::Deserialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
struct OrderPlaced {
    id: u64,
}

/// What a handler has to tell.
type Told = Arc<mpsc::UnboundedSender<String>>;

#[handler(stream = "orders", group = "shop", kinds = "order.placed")]
async fn place(order: OrderPlaced, cx: &Delivery, State(told): State<Told>) -> vulkan::Result {
    told.send(format!(
        "placed {} as {} of {}",
        order.id,
        cx.attempt(),
        cx.max_attempts()
    ))?;
    Ok(())
}

#[handler(stream = "orders", group = "shop", kinds = "order.cancelled")]
async fn cancel(id: u64, State(told): State<Told>) -> vulkan::Result {
    told.send(format!("cancelled {id}"))?;
    Ok(())
}

#[handler(stream = "orders", group = "audit")]
async fn audit(_: serde_json::Value, cx: &Delivery, State(told): State<Told>) -> vulkan::Result {
    told.send(format!("audited {} by {}", cx.kind(), cx.group()))?;
    Ok(())
}

async fn told(heard: &mut mpsc::UnboundedReceiver<String>, many: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..many {
        all.push(within("a handler to tell", heard.recv()).await.unwrap());
    }
    all.sort();
    all
}

#[tokio::test]
async fn handles_what_is_published_before_and_after_its_start() {
    let db = TestDb::new().await;
    let client = db.client().await;
    let (tell, mut heard) = mpsc::unbounded_channel();
    client.publish(&OrderPlaced { id: 1 }).await.unwrap();
    let running = Running::start(
        Worker::builder(client.clone())
            .state(Arc::new(tell))
            .register(place)
            .register(cancel)
            .register_with(audit, |options| options.retries(0)),
    );
    assert_eq!(
        told(&mut heard, 2).await,
        ["audited order.placed by audit", "placed 1 as 1 of 6"]
    );

    client.publish(&OrderPlaced { id: 2 }).await.unwrap();
    Publish::new("order.cancelled")
        .payload(json!(2))
        .send(&db.pool)
        .await;
    assert_eq!(
        told(&mut heard, 4).await,
        [
            "audited order.cancelled by audit",
            "audited order.placed by audit",
            "cancelled 2",
            "placed 2 as 1 of 6"
        ]
    );
    running.stop().await.unwrap();
    assert_eq!(
        (
            db.count("shop", "done").await,
            db.count("audit", "done").await
        ),
        (3, 3)
    );
    let attempts: i32 = db
        .value("SELECT max_attempts FROM vulkan.groups WHERE name = 'audit'")
        .await;
    assert_eq!(attempts, 1);
    db.check().await;
}

#[tokio::test]
async fn options_can_be_decided_at_run_time() {
    let db = TestDb::new().await;
    let (tell, mut heard) = mpsc::unbounded_channel();
    db.run("SELECT vulkan.create_stream('elsewhere')").await;
    Publish::new("order.placed")
        .to("elsewhere")
        .payload(json!({"id": 7}))
        .send(&db.pool)
        .await;
    let running = Running::start(db.worker().await.state(Arc::new(tell)).register_with(
        place,
        |options| {
            let mut options = options.retries(2);
            options.stream = "elsewhere".into();
            options.group = "other".into();
            options
        },
    ));
    assert_eq!(told(&mut heard, 1).await, ["placed 7 as 1 of 3"]);
    running.stop().await.unwrap();
    assert_eq!(db.count("other", "done").await, 1);
}

#[tokio::test]
async fn a_kind_nobody_takes_is_tried_again_and_says_so() {
    let db = TestDb::new().await;
    let handler = on(options("picky").kinds(["known"]), |_| {
        Box::pin(async { Ok(()) })
    });
    let running = Running::start(db.worker().await.register(handler));
    let known = Publish::new("known").send(&db.pool).await;
    db.until_is("picky", known, "done", 1).await;
    // Another release, which knows more, has bound more.
    db.run("SELECT vulkan.set_binding('orders', 'picky', '[{\"kind\": \">\"}]')")
        .await;
    let unknown = Publish::new("unknown").send(&db.pool).await;
    let keyed = Publish::keyed("a").send(&db.pool).await;
    for offset in [unknown, keyed] {
        let stand = db
            .until_stands("picky", offset, "tried", |stand| {
                stand.attempts > 0 && stand.status == "ready"
            })
            .await;
        assert!(
            stand
                .last_error
                .unwrap()
                .starts_with("no handler for kind \"")
        );
    }
    running.stop().await.unwrap();
    db.check().await;
}

/// While a release that brings a kind is rolled out, the one before meets messages of it.
#[tokio::test]
async fn a_kind_that_another_worker_takes_is_left_to_it() {
    let db = TestDb::new().await;
    let handler = |kinds: &[&'static str]| {
        let options = options("rolled").kinds(kinds.iter().copied()).retries(0);
        on(options, |_| Box::pin(async { Ok(()) }))
    };
    let (told, mut heard) = mpsc::unbounded_channel();
    let old = db.worker().await.name("old").version("1.0.0");
    let old = old.on_event(move |event| {
        if let WorkerEvent::NoHandler { elsewhere, .. } = event {
            let _ = told.send(*elsewhere);
        }
    });
    let old = Running::start(old.register(handler(&["a"])));
    until("its row", || async {
        db.value::<bool>("SELECT count(*) = 1 FROM vulkan.workers")
            .await
    })
    .await;
    db.run("SELECT vulkan.declare_options('orders', 'rolled', '{\"rules\": [{\"kind\": \"a\"}, {\"kind\": \"b\"}]}', '1.1.0', 'new')")
        .await;
    // It has declared what it takes, and not started yet.
    let mut offsets = vec![
        Publish::new("b").send(&db.pool).await,
        Publish::new("b").key("k").send(&db.pool).await,
    ];
    for _ in 0..2 {
        assert_eq!(within("the event", heard.recv()).await, Some(true));
    }
    let new = db.worker().await.name("new").version("1.1.0");
    let new = Running::start(new.register(handler(&["a", "b"])));
    for message in [Publish::new("b"), Publish::new("b").key("k")] {
        offsets.push(message.send(&db.pool).await);
    }
    for &offset in &offsets {
        db.until_is("rolled", offset, "done", 1).await;
    }
    new.stop().await.unwrap();
    while let Ok(elsewhere) = heard.try_recv() {
        assert!(elsewhere);
    }
    // Gone for good: nobody takes it, and that is an error.
    db.run("UPDATE vulkan.declarations SET declared_at = declared_at - interval '1 minute'")
        .await;
    let orphan = Publish::new("b").send(&db.pool).await;
    db.until_is("rolled", orphan, "dead", 1).await;
    assert_eq!(heard.try_recv(), Ok(false));
    old.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn many_messages_and_groups_are_all_done_once() {
    const MANY: usize = 3000;
    let db = TestDb::new().await;
    let mut builder = db.worker().await;
    let mut gates = Vec::new();
    for group in ["one", "two", "three"] {
        let (gate, keeper) = Gate::new();
        gates.push(keeper);
        builder = builder.register(on(options(group), move |delivery| {
            gate.tell(delivery.offset());
            Box::pin(async { Ok(()) })
        }));
    }
    let running = Running::start(builder);
    db.run(
        "SELECT vulkan.publish_many('orders', array_fill('a'::text, ARRAY[1500]), array_fill('{}'::jsonb, ARRAY[1500]),
             ARRAY(SELECT CASE WHEN n % 3 = 0 THEN 'key-' || n % 50 END FROM generate_series(1, 1500) n))",
    )
    .await;
    for _ in 0..1500 {
        Publish::new("b").send(&db.pool).await;
    }
    for keeper in &mut gates {
        let offsets = keeper.take(MANY).await;
        assert!(offsets.is_sorted_by(|a, b| a < b), "one was handled twice");
    }
    running.stop().await.unwrap();
    for group in ["one", "two", "three"] {
        assert_eq!(db.count(group, "done").await, 3000);
    }
    assert!(gates.iter_mut().all(super::support::Keeper::nothing_else));
    db.check().await;
}

#[tokio::test]
async fn limits_may_be_as_good_as_none() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = on(options("all").concurrency(usize::MAX), move |delivery| {
        gate.tell(delivery.offset());
        Box::pin(async { Ok(()) })
    });
    let worker = db.worker().await.concurrency(usize::MAX).register(handler);
    let running = Running::start(worker);
    let offset = Publish::new("n").send(&db.pool).await;
    assert_eq!(came.next().await, offset);
    running.stop().await.unwrap();
}
