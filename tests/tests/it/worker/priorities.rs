use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vulkan::{Delivery, Handler, HandlerOptions, Message, Mistake, OptionsError};

use super::support::{Gate, Running, on, options, until};
use crate::support::TestDb;

const MANY: usize = 300;

/// Counts what a handler handled, and how much another had handled when it was through.
struct Count {
    all: usize,
    handled: AtomicUsize,
    other_at_end: AtomicUsize,
}

impl Count {
    fn to(all: usize) -> Arc<Self> {
        Arc::new(Self {
            all,
            handled: AtomicUsize::new(0),
            other_at_end: AtomicUsize::new(0),
        })
    }

    fn is_through(&self) -> bool {
        self.handled.load(Ordering::SeqCst) == self.all
    }

    /// How much the other had handled when this one was through.
    fn other_at_end(&self) -> usize {
        assert!(self.is_through());
        self.other_at_end.load(Ordering::SeqCst)
    }
}

/// A handler that takes some milliseconds, and counts.
fn counting(
    options: HandlerOptions,
    millis: impl Fn(&Delivery) -> u64 + Send + Sync + 'static,
    mine: &Arc<Count>,
    other: &Arc<Count>,
) -> impl Handler<()> {
    let (mine, other) = (Arc::clone(mine), Arc::clone(other));
    on(options, move |delivery| {
        let (mine, other) = (Arc::clone(&mine), Arc::clone(&other));
        let millis = millis(delivery);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            if mine.handled.fetch_add(1, Ordering::SeqCst) + 1 == mine.all {
                let theirs = other.handled.load(Ordering::SeqCst);
                mine.other_at_end.store(theirs, Ordering::SeqCst);
            }
            Ok(())
        })
    })
}

async fn until_through(counts: [&Count; 2]) {
    until("both to be through", || async {
        counts.iter().all(|count| count.is_through())
    })
    .await;
}

/// Publishes messages of these kinds and keys, all in one go.
async fn publish_all(db: &TestDb, all: impl IntoIterator<Item = (&'static str, Option<String>)>) {
    let messages = all.into_iter().map(|(kind, key)| {
        let message = Message::new("orders", kind, &7).unwrap();
        match key {
            Some(key) => message.key(key),
            None => message,
        }
    });
    db.client().await.publish_many(messages).await.unwrap();
}

async fn publish(db: &TestDb, many: usize) {
    publish_all(db, (0..many).map(|_| ("order.placed", None))).await;
}

/// Lets two groups work off the same backlog in two slots; returns how much the second had handled when
/// the first was through.
async fn race(
    first: impl FnOnce(HandlerOptions) -> HandlerOptions,
    second: impl FnOnce(HandlerOptions) -> HandlerOptions,
) -> usize {
    let db = TestDb::new().await;
    let (one, two) = (Count::to(MANY), Count::to(MANY));
    publish(&db, MANY).await;
    let running = Running::start(
        db.worker()
            .await
            .concurrency(2)
            .register(counting(second(options("second")), |_| 1, &two, &one))
            .register(counting(first(options("first")), |_| 1, &one, &two)),
    );
    until_through([&one, &two]).await;
    running.stop().await.unwrap();
    one.other_at_end()
}

/// The same with two kinds of one group, which come in turn. Keyed, each has ten keys of its own.
async fn race_of_kinds(
    first: impl FnOnce(HandlerOptions) -> HandlerOptions,
    second: impl FnOnce(HandlerOptions) -> HandlerOptions,
    keyed: bool,
) -> usize {
    let db = TestDb::new().await;
    let (one, two) = (Count::to(MANY), Count::to(MANY));
    let all = (0..2 * MANY).map(|nth| {
        let kind = ["second", "first"][nth % 2];
        (kind, keyed.then(|| (nth % 20).to_string()))
    });
    publish_all(&db, all).await;
    let of_kind = |kind| options("both").name(kind).kinds([kind]);
    let running = Running::start(
        db.worker()
            .await
            .concurrency(2)
            .register(counting(second(of_kind("second")), |_| 1, &two, &one))
            .register(counting(first(of_kind("first")), |_| 1, &one, &two)),
    );
    until_through([&one, &two]).await;
    running.stop().await.unwrap();
    one.other_at_end()
}

#[tokio::test]
async fn a_higher_priority_is_served_first() {
    let second = race(|options| options.priority(1), |options| options).await;
    assert!(second < MANY / 4, "{second} of {MANY} went before");
}

#[tokio::test]
async fn a_heavier_handler_gets_more_of_the_slots() {
    let second = race(|options| options.weight(9), |options| options.weight(1)).await;
    assert!(second < MANY / 2, "{second} of {MANY} went meanwhile");
    assert!(second > 0, "the lighter one got nothing");
}

#[tokio::test]
async fn kinds_of_one_group_go_by_priority_and_weight() {
    for keyed in [false, true] {
        let second = race_of_kinds(|options| options.priority(1), |options| options, keyed).await;
        assert!(second < MANY / 2, "{second} of {MANY} went before");
        let second = race_of_kinds(
            |options| options.weight(9),
            |options| options.weight(1),
            keyed,
        )
        .await;
        assert!(second < MANY / 2, "{second} of {MANY} went meanwhile");
        assert!(second > 0, "the lighter one got nothing");
    }
}

/// So many quick messages come first that whole runs are claimed.
const WARM_UP: usize = 400;

/// Messages without a key are quick.
fn if_keyed(millis: u64) -> impl Fn(&Delivery) -> u64 {
    move |delivery| delivery.key().map_or(0, |_| millis)
}

fn run_of(kind: &'static str, many: usize) -> impl Iterator<Item = (&'static str, Option<String>)> {
    (0..many).map(move |_| (kind, Some("k".into())))
}

/// A run is handed out in one piece; its slot is no more its own than that of other messages.
#[tokio::test]
async fn a_run_of_a_key_makes_way_for_what_is_more_important() {
    let db = TestDb::new().await;
    let (common, urgent) = (Count::to(WARM_UP + 100), Count::to(1));
    let warm_up = (0..WARM_UP).map(|_| ("common", None));
    publish_all(&db, warm_up.chain(run_of("common", 100))).await;
    let of_kind = |kind| options(kind).kinds([kind]);
    let running = Running::start(
        db.worker()
            .await
            .concurrency(1)
            .register(counting(of_kind("common"), if_keyed(15), &common, &urgent))
            .register(counting(
                of_kind("urgent").priority(1),
                |_| 0,
                &urgent,
                &common,
            )),
    );
    until("the run to be under way", || async {
        common.handled.load(Ordering::SeqCst) > WARM_UP + 2
    })
    .await;
    publish_all(&db, [("urgent", None)]).await;
    until_through([&common, &urgent]).await;
    running.stop().await.unwrap();
    let before = urgent.other_at_end() - WARM_UP;
    assert!(before < 50, "{before} of 100 went before");
    db.check().await;
}

/// What a run goes on with has no better right to a slot than its own handler.
#[tokio::test]
async fn a_run_goes_on_at_the_priority_of_each_of_its_kinds() {
    let db = TestDb::new().await;
    let high = Count::to(WARM_UP + 3);
    let (low, middle) = (Count::to(60), Count::to(200));
    let warm_up = (0..WARM_UP).map(|_| ("high", None));
    let run = run_of("high", 3).chain(run_of("low", 60));
    publish_all(&db, warm_up.chain(run)).await;
    let of_kind = |group, kind| options(group).name(kind).kinds([kind]);
    let running = Running::start(
        db.worker()
            .await
            .concurrency(1)
            .register(counting(
                of_kind("run", "high").priority(2),
                if_keyed(300),
                &high,
                &low,
            ))
            .register(counting(of_kind("run", "low"), |_| 5, &low, &middle))
            .register(counting(
                of_kind("others", "middle").priority(1),
                |_| 1,
                &middle,
                &low,
            )),
    );
    until("the run to be under way", || async {
        high.handled.load(Ordering::SeqCst) > WARM_UP
    })
    .await;
    publish_all(&db, (0..200).map(|_| ("middle", None))).await;
    until_through([&low, &middle]).await;
    running.stop().await.unwrap();
    let before = middle.other_at_end();
    assert!(before < 30, "{before} of 60 went before");
    db.check().await;
}

#[tokio::test]
async fn a_group_that_is_outranked_leaves_its_messages_to_others() {
    let db = TestDb::new().await;
    let (gate, mut keeper) = Gate::new();
    publish(&db, 8).await;
    let stuck = on(options("first").priority(5), move |delivery| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.pass(delivery.offset()).await;
            Ok(())
        })
    });
    let busy = Running::start(
        db.worker()
            .await
            .concurrency(2)
            .register(stuck)
            .register(on(options("second"), |_| Box::pin(async { Ok(()) }))),
    );
    keeper.take(2).await;
    // The others of the first group wait for a slot; who claimed for the second would only sit on it.
    until("the second group's early claims to be over", || async {
        db.count("second", "processing").await == 0
    })
    .await;
    let free = Running::start(
        db.worker()
            .await
            .register(on(options("second"), |_| Box::pin(async { Ok(()) }))),
    );
    db.until_done("second", 8).await;
    free.stop().await.unwrap();
    keeper.let_all_go();
    db.until_done("first", 8).await;
    busy.stop().await.unwrap();
}

#[tokio::test]
async fn a_weight_of_zero_is_a_mistake() {
    let db = TestDb::new().await;
    let handler = on(options("first").weight(0), |_| Box::pin(async { Ok(()) }));
    let error = db.worker().await.register(handler).build().unwrap_err();
    let [Mistake::Options { error, .. }] = error.mistakes() else {
        panic!("{error}");
    };
    assert_eq!(*error, OptionsError::Zero { field: "weight" });
}
