use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vulkan::{Handler, HandlerOptions, Message, Mistake, OptionsError};

use super::support::{Gate, Running, on, options, until};
use crate::support::TestDb;

const MANY: usize = 300;

/// Counts what a group handled, and how much another had handled when it was through.
#[derive(Default)]
struct Count {
    handled: AtomicUsize,
    other_at_end: AtomicUsize,
}

/// A handler that takes a moment, and counts.
fn counting(options: HandlerOptions, mine: &Arc<Count>, other: &Arc<Count>) -> impl Handler<()> {
    let (mine, other) = (Arc::clone(mine), Arc::clone(other));
    on(options, move |_| {
        let (mine, other) = (Arc::clone(&mine), Arc::clone(&other));
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if mine.handled.fetch_add(1, Ordering::SeqCst) + 1 == MANY {
                let theirs = other.handled.load(Ordering::SeqCst);
                mine.other_at_end.store(theirs, Ordering::SeqCst);
            }
            Ok(())
        })
    })
}

async fn publish(db: &TestDb, many: usize) {
    let messages = (0..many).map(|nth| Message::new("orders", "order.placed", &nth).unwrap());
    db.client().await.publish_many(messages).await.unwrap();
}

/// Lets two groups work off the same backlog in two slots; returns how much the second had handled when
/// the first was through.
async fn race(
    first: impl FnOnce(HandlerOptions) -> HandlerOptions,
    second: impl FnOnce(HandlerOptions) -> HandlerOptions,
) -> usize {
    let db = TestDb::new().await;
    let (one, two) = (Arc::<Count>::default(), Arc::<Count>::default());
    publish(&db, MANY).await;
    let running = Running::start(
        db.worker()
            .await
            .concurrency(2)
            .register(counting(second(options("second")), &two, &one))
            .register(counting(first(options("first")), &one, &two)),
    );
    until("both groups to be through", || async {
        one.handled.load(Ordering::SeqCst) == MANY && two.handled.load(Ordering::SeqCst) == MANY
    })
    .await;
    running.stop().await.unwrap();
    one.other_at_end.load(Ordering::SeqCst)
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
