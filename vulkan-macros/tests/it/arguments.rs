//! Every form of argument, called directly and through the registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use vulkan::{
    Delivery, FromDelivery, FromRef, Handler, HandlerOptions, Result, ResultExt, State, handler,
};

use crate::registry::{Registry, erase};

#[derive(Clone, Default)]
struct Sum(Arc<AtomicU64>);

impl Sum {
    fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A state of parts, of which `Sum` is one. It cannot be cloned itself.
#[derive(Default)]
struct App {
    sum: Sum,
}

impl FromRef<App> for Sum {
    fn from_ref(app: &App) -> Self {
        app.sum.clone()
    }
}

struct Tenant(String);

impl<S: Sync> FromDelivery<S> for Tenant {
    async fn from_delivery(delivery: &Delivery, _: &S) -> Result<Self> {
        Ok(Self(delivery.header("tenant").dead()?.to_owned()))
    }
}

#[derive(Deserialize)]
struct Order {
    total: u64,
}

const ORDER: &str = r#"{"total":7}"#;

fn delivery() -> Delivery {
    let payload = serde_json::from_str(ORDER).unwrap();
    Delivery::builder(payload).header("tenant", "acme").build()
}

#[handler(stream = "orders", group = "payload")]
async fn payload_only(order: Order) -> Result {
    assert_eq!(order.total, 7);
    Ok(())
}

#[handler(stream = "orders", group = "delivery")]
async fn with_delivery(order: Order, cx: &Delivery) -> Result {
    std::future::ready(()).await;
    assert_eq!((order.total, cx.attempt()), (7, 1));
    Ok(())
}

#[handler(stream = "orders", group = "state")]
async fn with_state(order: Order, sum: State<Sum>) -> Result {
    std::future::ready(()).await;
    sum.add(order.total);
    Ok(())
}

#[handler(stream = "orders", group = "patterns")]
async fn with_patterns(
    Order { mut total }: Order,
    State(sum): State<Sum>,
    Tenant(tenant): Tenant,
    cx: &vulkan::Delivery,
) -> Result {
    total += 1;
    assert_eq!((tenant.as_str(), cx.offset()), ("acme", 1));
    sum.add(total);
    Ok(())
}

#[handler(stream = "orders", group = "eight")]
async fn with_eight(
    _: Order,
    a: &Delivery,
    b: State<Sum>,
    c: Tenant,
    d: &Delivery,
    e: State<Sum>,
    f: Tenant,
    g: &Delivery,
) -> Result {
    assert_eq!((a.offset(), d.offset(), g.offset()), (1, 1, 1));
    assert_eq!(c.0, f.0);
    b.add(1);
    e.add(1);
    Ok(())
}

/// An argument may have the name of the function.
#[handler(stream = "orders", group = "same-name")]
async fn same_name(same_name: Order) {
    assert_eq!(same_name.total, 7);
}

#[tokio::test]
async fn stay_callable() {
    let (cx, sum) = (delivery(), Sum::default());
    let order = || Order { total: 7 };
    payload_only(order()).await.unwrap();
    with_delivery(order(), &cx).await.unwrap();
    with_state(order(), State(sum.clone())).await.unwrap();
    let (state, tenant) = (State(sum.clone()), Tenant("acme".into()));
    with_patterns(order(), state, tenant, &cx).await.unwrap();
    same_name(order()).await;
    assert_eq!(sum.get(), 15);
}

#[tokio::test]
async fn run_when_registered() {
    let (cx, app) = (delivery(), App::default());
    erase(payload_only).call(&cx, &app).await.unwrap();
    erase(with_delivery).call(&cx, &app).await.unwrap();
    erase(with_state).call(&cx, &app).await.unwrap();
    erase(with_patterns).call(&cx, &app).await.unwrap();
    erase(with_eight).call(&cx, &app).await.unwrap();
    erase(same_name).call(&cx, &app).await.unwrap();
    assert_eq!(app.sum.get(), 17);
}

#[test]
fn a_future_can_be_sent() {
    fn assert_send<T: Send>(_: &T) {}
    let cx = delivery();
    assert_send(&with_delivery(Order { total: 7 }, &cx));
}

#[tokio::test]
async fn the_state_may_be_the_part_itself() {
    let sum = Sum::default();
    erase(with_state).call(&delivery(), &sum).await.unwrap();
    assert_eq!(sum.get(), 7);
}

struct Audit(&'static str);

impl Handler<App> for Audit {
    fn options(&self) -> HandlerOptions {
        HandlerOptions::new("orders", self.0)
    }

    async fn call(&self, _: &Delivery, app: &App) -> Result {
        app.sum.add(100);
        Ok(())
    }
}

#[tokio::test]
async fn by_hand_and_annotated_mix() {
    let registry = Registry::<App>::new()
        .register(with_delivery)
        .register(Audit("audit"))
        .register(with_patterns)
        .register(with_state {});
    let names = ["with_delivery", "audit", "with_patterns", "with_state"];
    assert_eq!(registry.names(), names);

    let app = App::default();
    erase(Audit("audit")).call(&delivery(), &app).await.unwrap();
    assert_eq!(app.sum.get(), 100);
}
