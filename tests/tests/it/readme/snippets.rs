//! The Rust of the README.

use std::error::Error;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use vulkan::{
    Binding, Client, Delivery, DryRun, Event, GroupOptions, HandlerError, Message, OnDead,
    Position, Redrive, ResultExt, Shutdown, Start, Tx, Worker, handler,
};
use vulkan_testing::{Handled, TestApp, call};

use crate::support::{TestDb, within};

type Outcome = Result<(), Box<dyn Error>>;

#[derive(Serialize, Deserialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
struct OrderPlaced {
    id: u64,
    #[event(key)]
    customer: String,
    total: i64,
}

fn order(id: u64) -> OrderPlaced {
    OrderPlaced {
        id,
        customer: "ada".into(),
        total: 120,
    }
}

#[handler(
    stream = "orders",
    group = "billing",
    kinds = "order.placed",
    retries = 5,
    backoff = "2s..5m",
    timeout = "30s"
)]
async fn bill(order: OrderPlaced, cx: &Delivery) -> vulkan::Result {
    if order.total < 0 {
        // No later attempt will find another total.
        return Err(HandlerError::dead("a negative total"));
    }
    let bank_opens_in: u64 = cx.header("bank-opens-in").unwrap_or("0").parse().dead()?;
    if bank_opens_in > 0 {
        // Not a failure, so no attempt is spent.
        return Err(HandlerError::snooze(Duration::from_secs(bank_opens_in)));
    }
    let invoice = format!("{} owes {}", order.customer, order.total);
    // Any error that leaves by `?` means: again, after the backoff.
    std::fs::write("/dev/null", invoice)?;
    Ok(())
}

#[handler(stream = "orders", group = "ledger", concurrency = 8)]
async fn add_up(order: OrderPlaced, mut tx: Tx) -> vulkan::Result {
    sqlx::query("UPDATE totals SET amount = amount + $1")
        .bind(order.total)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

#[tokio::test]
async fn they_run() -> Outcome {
    let db = TestDb::new().await;
    let client = Client::new(db.pool.clone());
    sqlx::raw_sql(
        "CREATE TABLE invoices (order_id bigint); CREATE TABLE totals (amount bigint);
         INSERT INTO totals VALUES (0); CREATE TABLE search (order_id bigint)",
    )
    .execute(&db.pool)
    .await?;
    publish(&client).await?;
    delay(&client).await?;
    bind(&client).await?;
    work(client.clone()).await?;
    operate(&client).await?;
    read(&client).await?;
    let (total, searched): (i64, i64) =
        sqlx::query_as("SELECT amount, (SELECT count(*) FROM search) FROM totals")
            .fetch_one(&db.pool)
            .await?;
    assert_eq!((total, searched), (6 * 120, 1));
    db.check().await;
    Ok(())
}

#[tokio::test]
async fn a_negative_total_is_dead() {
    let refund = OrderPlaced {
        total: -5,
        ..order(7)
    };
    // Alone, without a database:
    let dead = Handled::Dead {
        error: "a negative total".into(),
    };
    assert_eq!(call(bill, &refund).await, dead);

    // With one of the test's own, and a worker that runs until nothing is left to do:
    let app = TestApp::new().await;
    let offset = app.publish(&refund).await;
    app.drain(app.worker().register(bill)).await;
    let billing = app.group("orders", "billing");
    billing.assert_dead_with(offset, "a negative total").await;
}

async fn publish(client: &Client) -> Outcome {
    let mut tx = client.begin().await?;
    sqlx::query("INSERT INTO invoices (order_id) VALUES ($1)")
        .bind(7)
        .execute(&mut *tx)
        .await?;
    client.publish_in(&mut *tx, &order(7)).await?;
    tx.commit().await?;

    let orders: Vec<OrderPlaced> = (1..=3).map(order).collect();
    client.publish_many(&orders).await?;
    Ok(())
}

async fn delay(client: &Client) -> Outcome {
    let order = order(8);
    client
        .publish(Message::of(&order)?.deliver_at(Utc::now() + TimeDelta::milliseconds(5)))
        .await?;
    let first = client
        .publish(Message::of(&order)?.dedup_id("order-8"))
        .await?;
    let again = client
        .publish(Message::of(&order)?.dedup_id("order-8"))
        .await?;
    assert_eq!(first, again);
    Ok(())
}

async fn bind(client: &Client) -> Outcome {
    let large_or_european = GroupOptions {
        bindings: Some(vec![
            Binding::kind("order.*.large".parse()?),
            Binding::kind("order.>".parse()?).header("region", "eu"),
        ]),
        ..GroupOptions::default()
    };
    client
        .ensure_group("orders", "fraud", large_or_european)
        .await?;

    let in_strict_order = GroupOptions {
        on_dead: Some(OnDead::Block),
        ..GroupOptions::default()
    };
    client
        .ensure_group("orders", "ledger", in_strict_order)
        .await?;
    Ok(())
}

async fn work(client: Client) -> Outcome {
    let shutdown = Shutdown::new();
    let worker = Worker::builder(client.clone())
        .register(bill)
        .register(add_up)
        .build()?;
    let worker = tokio::spawn(worker.run(shutdown.clone()));
    within("the groups to be done", done(&client)).await?;
    shutdown.stop();
    worker.await??;
    Ok(())
}

async fn done(client: &Client) -> Outcome {
    loop {
        let groups = client.overview().await?;
        if groups.iter().all(|group| group.oldest_unfinished.is_none()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn operate(client: &Client) -> Outcome {
    let timed_out = Redrive {
        error_like: Some("timed out%".into()),
        ..Redrive::default()
    };
    let redriven = client
        .redrive("orders", "billing", timed_out, DryRun::No)
        .await?;
    assert_eq!(redriven, 0);

    let an_hour_ago = Position::At(Utc::now() - TimeDelta::hours(1));
    let would = client
        .replay("orders", "billing", an_hour_ago, DryRun::Yes)
        .await?;
    println!(
        "{} messages again, {} retries and dead letters forgotten",
        would.again, would.forgotten
    );

    client.pause("orders", "billing", DryRun::No).await?;
    client
        .skip("orders", "billing", 1, Some("paid by hand"), DryRun::No)
        .await?;
    for message in client.inspect(1).await? {
        println!("{}: {:?}", message.group, message.status);
    }
    client.resume("orders", "billing", DryRun::No).await?;
    for group in client.overview().await? {
        println!("{}: {} waiting", group.group, group.ready);
    }
    Ok(())
}

async fn read(client: &Client) -> Outcome {
    let reader = client
        .reader("orders", "search-index", Start::Earliest)
        .await?;
    let mut events = reader.events();
    while let Some(event) = events.next().await {
        let event = event?;
        let order: OrderPlaced = event.decode()?;
        let mut tx = client.begin().await?;
        sqlx::query("INSERT INTO search (order_id) VALUES ($1)")
            .bind(i64::try_from(order.id)?)
            .execute(&mut *tx)
            .await?;
        reader.commit_in(&mut *tx, event.offset()).await?;
        tx.commit().await?;
        if order.id == 7 {
            break; // Or never.
        }
    }
    drop(events);
    reader.close().await?;
    Ok(())
}
