use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use vulkan::{Client, DryRun, Message, Position, Redrive};

use crate::support::{Program, Receiver, Span, database, until};

/// The one span of a name.
#[track_caller]
fn the(receiver: &Receiver, name: &str) -> Span {
    let spans = receiver.named(name);
    assert_eq!(spans.len(), 1, "{name}: {spans:#?}");
    spans.into_iter().next().unwrap()
}

async fn until_named(receiver: &Receiver, name: &str, group: &str, many: usize) -> Vec<Span> {
    let of_group = || {
        let mut spans = receiver.named(name);
        spans.retain(|span| span.is("messaging.consumer.group.name", group));
        spans
    };
    until(&format!("{many} spans {name:?} of {group}"), || async {
        of_group().len() >= many
    })
    .await;
    let spans = of_group();
    assert_eq!(spans.len(), many, "{spans:#?}");
    spans
}

async fn port(client: &Client) -> String {
    sqlx::query_scalar("SHOW port")
        .fetch_one(client.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_message_that_fails_twice_is_traced_from_its_publisher_on() {
    let (database, client) = database().await;
    let receiver = Receiver::start().await;
    let worker = Program::start("work", &database.url(), &receiver, "");
    Program::run("publish", &database.url(), &receiver, "").await;
    let attempts = until_named(&receiver, "process orders", "billing", 3).await;
    let dead = until_named(&receiver, "dead_letter orders", "givers-up", 1).await;
    let acked = until_named(&receiver, "ack orders", "billing", 1).await;
    let nacked = until_named(&receiver, "nack orders", "billing", 2).await;
    let claims = until_named(&receiver, "claim orders", "billing", 3).await;
    // In one batch, or in more, as they come.
    let linked = || -> Vec<_> {
        let rows = receiver.named("process rows");
        rows.into_iter().flat_map(|row| row.links).collect()
    };
    until("all rows to be handled", || async { linked().len() == 3 }).await;
    worker.end().await;
    let port = port(&client).await;

    // The publisher: one span for a message, in its own trace.
    let checkout = the(&receiver, "checkout");
    let published = receiver.named("publish orders");
    assert_eq!(published.len(), 3);
    for span in &published {
        assert_eq!(span.kind, SpanKind::Producer);
        assert!(span.is_child_of(&checkout) && !span.failed && span.links.is_empty());
        assert_eq!(span.service, "publish");
        span.has_exactly(&[
            ("messaging.destination.name", "orders"),
            ("messaging.message.id", "*"),
            ("messaging.operation.name", "publish"),
            ("messaging.operation.type", "send"),
            ("messaging.system", "vulkan"),
            ("server.address", "*"),
            ("server.port", &port),
            ("vulkan.offset", "*"),
        ]);
    }
    let refused = the(&receiver, "publish no-such-stream");
    assert!(refused.failed && refused.is("error.type", "VK001"));
    let published = &published[0];

    // The first attempt is part of that trace, the others are only linked to it.
    for (nth, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt.kind, SpanKind::Consumer);
        assert_eq!(attempt.links, [published.as_link()]);
        assert_eq!(attempt.failed, nth < 2);
        assert_eq!(attempt.service, "work");
        let number = (nth + 1).to_string();
        let mut attributes = vec![
            ("messaging.client.id", "worker-1"),
            ("messaging.consumer.group.name", "billing"),
            ("messaging.destination.name", "orders"),
            (
                "messaging.message.id",
                &published.attributes["vulkan.offset"],
            ),
            ("messaging.operation.name", "process"),
            ("messaging.operation.type", "process"),
            ("messaging.system", "vulkan"),
            ("server.address", "*"),
            ("server.port", &port),
            ("vulkan.attempt", &number),
            ("vulkan.offset", &published.attributes["vulkan.offset"]),
        ];
        if nth < 2 {
            attributes.push(("error.type", "_OTHER"));
        }
        attempt.has_exactly(&attributes);
        assert_eq!(attempt.events, 0);
    }
    assert!(attempts[0].is_child_of(published));
    assert!(attempts[1].is_root() && attempts[2].is_root());
    let mut traces: Vec<_> = attempts.iter().map(|attempt| &attempt.trace).collect();
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 3);

    // What the handler does belongs to its attempt, and what it publishes goes on from there.
    let charges = receiver.named("charge");
    for (charge, attempt) in charges.iter().zip(&attempts) {
        assert!(charge.is_child_of(attempt));
        assert!(attempt.begin <= charge.begin && charge.end <= attempt.end);
    }
    assert_eq!(charges.len(), 3);
    assert!(the(&receiver, "publish receipts").is_child_of(&charges[2]));

    // Claims and settlements.
    let first_claim = &claims[0];
    for claim in &claims {
        assert_eq!(claim.kind, SpanKind::Client);
        assert!(claim.is_root() && claim.links.contains(&published.as_link()));
    }
    first_claim.has_exactly(&[
        ("messaging.batch.message_count", "*"),
        ("messaging.client.id", "worker-1"),
        ("messaging.consumer.group.name", "billing"),
        ("messaging.destination.name", "orders"),
        ("messaging.operation.name", "claim"),
        ("messaging.operation.type", "receive"),
        ("messaging.system", "vulkan"),
        ("server.address", "*"),
        ("server.port", &port),
    ]);
    for (span, name) in nacked
        .iter()
        .map(|span| (span, "nack"))
        .chain([(&dead[0], "dead_letter"), (&acked[0], "ack")])
    {
        assert_eq!(span.kind, SpanKind::Client);
        assert!(!span.failed);
        assert!(span.is("messaging.operation.name", name), "{span:#?}");
        assert!(span.is("messaging.operation.type", "settle"), "{span:#?}");
        assert_eq!(
            span.attributes["messaging.message.id"],
            published.attributes["messaging.message.id"]
        );
    }
    let giver_up = &until_named(&receiver, "process orders", "givers-up", 1).await[0];
    assert!(giver_up.is_child_of(published) && giver_up.is("error.type", "panic"));

    // A batch: a span for each message, one that sends, and one that handles, linked to all.
    let created = receiver.named("create rows");
    let links: Vec<_> = created.iter().map(Span::as_link).collect();
    assert_eq!(created.len(), 3);
    assert!(created.iter().all(|span| span.kind == SpanKind::Producer
        && span.is_child_of(&checkout)
        && span.is("messaging.operation.type", "create")));
    let sent = the(&receiver, "publish rows");
    assert_eq!((sent.kind, &sent.links), (SpanKind::Client, &links));
    assert!(sent.is("messaging.batch.message_count", "3"));
    assert_eq!(linked(), links);
    for row in receiver.named("process rows") {
        assert!(row.is_root() && row.kind == SpanKind::Consumer);
        assert!(row.is(
            "messaging.batch.message_count",
            &row.links.len().to_string()
        ));
    }

    // Only what is listed above is in traces at all.
    for canary in [
        "canary-payload",
        "canary-key",
        "canary-header",
        "canary-error",
    ] {
        assert!(!receiver.holds(canary), "{canary}");
    }
}

#[tokio::test]
async fn what_is_redriven_or_replayed_begins_a_trace_of_its_own() {
    let (database, client) = database().await;
    let receiver = Receiver::start().await;
    Program::run("publish", &database.url(), &receiver, "").await;
    let published = receiver.named("publish orders").remove(0);
    let worker = Program::start("work", &database.url(), &receiver, "");
    until_named(&receiver, "process orders", "givers-up", 1).await;
    until_named(&receiver, "dead_letter orders", "givers-up", 1).await;
    let redriven = client.redrive("orders", "givers-up", Redrive::default(), DryRun::No);
    assert_eq!(redriven.await.unwrap(), 1);
    let attempts = until_named(&receiver, "process orders", "givers-up", 2).await;
    assert!(attempts[0].is_child_of(&published));
    assert!(attempts[1].is_root() && attempts[1].is("vulkan.attempt", "1"));
    assert_eq!(attempts[1].links, [published.as_link()]);

    until_named(&receiver, "process orders", "billing", 3).await;
    until_named(&receiver, "ack orders", "billing", 1).await;
    client
        .replay("orders", "billing", Position::Earliest, DryRun::No)
        .await
        .unwrap();
    let attempts = until_named(&receiver, "process orders", "billing", 6).await;
    assert!(attempts[3].is("vulkan.attempt", "1") && attempts[3].is_root());
    assert_eq!(attempts[3].links, [published.as_link()]);
    worker.end().await;
}

#[tokio::test]
async fn a_delayed_message_is_at_its_first_attempt_and_links_only_has_no_parents() {
    let (database, client) = database().await;
    let receiver = Receiver::start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let order = || Message::new("orders", "order.placed", &7).unwrap();
    for key in [None, Some("k")] {
        let order = order()
            .header("traceparent", parent)
            .delay(Duration::from_millis(300));
        let order = match key {
            Some(key) => order.key(key),
            None => order,
        };
        client.publish(order).await.unwrap();
    }
    let worker = Program::start("work", &database.url(), &receiver, "");
    let attempts = until_named(&receiver, "process orders", "givers-up", 2).await;
    worker.end().await;
    for attempt in attempts {
        assert_eq!(hex(&attempt.trace), &parent[3..35]);
        assert_eq!(hex(&attempt.parent), &parent[36..52]);
    }

    let worker = Program::start("work", &database.url(), &receiver, "links-only");
    client
        .publish(order().header("traceparent", parent))
        .await
        .unwrap();
    let attempts = until_named(&receiver, "process orders", "givers-up", 3).await;
    worker.end().await;
    assert!(attempts[2].is_root());
    assert_eq!(hex(&attempts[2].links[0].1), &parent[36..52]);
}

#[tokio::test]
async fn a_callers_own_context_stays_and_one_that_is_not_sampled_is_not_written() {
    let (database, client) = database().await;
    let receiver = Receiver::start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let order = Message::new("orders", "order.placed", &7)
        .unwrap()
        .header("traceparent", parent)
        .header("tracestate", "a=1");
    let offset = client.publish(order).await.unwrap();
    let headers: String = sqlx::query_scalar(
        "SELECT headers ->> 'traceparent' || (headers ->> 'tracestate') FROM vulkan.events WHERE \"offset\" = $1",
    )
    .bind(offset)
    .fetch_one(client.pool())
    .await
    .unwrap();
    assert_eq!(headers, format!("{parent}a=1"));
    let worker = Program::start("work", &database.url(), &receiver, "");
    // Dead at its first attempt, of which there is no span, while the others have theirs.
    until_named(&receiver, "dead_letter orders", "givers-up", 1).await;
    let attempts = until_named(&receiver, "process orders", "billing", 2).await;
    worker.end().await;
    assert!(attempts[0].is("vulkan.attempt", "2"));
    assert!(
        !receiver
            .named("process orders")
            .iter()
            .any(|span| span.is("messaging.consumer.group.name", "givers-up"))
    );
}

#[tokio::test]
async fn what_is_put_off_is_deferred_and_begins_a_trace_of_its_own() {
    let (database, client) = database().await;
    let receiver = Receiver::start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let worker = Program::start("work", &database.url(), &receiver, "");
    for (nth, key) in [None, Some("k")].into_iter().enumerate() {
        let order = Message::new("orders", "order.later", &7).unwrap();
        let order = order.header("traceparent", parent);
        let order = match key {
            Some(key) => order.key(key),
            None => order,
        };
        let offset = client.publish(order).await.unwrap().to_string();
        let attempts = until_named(&receiver, "process orders", "patient", 2 * nth + 2).await;
        let deferred = until_named(&receiver, "defer orders", "patient", nth + 1).await;
        until_named(&receiver, "ack orders", "patient", nth + 1).await;
        let [first, second] = &attempts[2 * nth..] else {
            panic!("{attempts:#?}");
        };
        for attempt in [first, second] {
            assert!(!attempt.failed && attempt.is("messaging.message.id", &offset));
            assert!(attempt.is("vulkan.attempt", "1"));
            assert_eq!(hex(&attempt.links[0].1), &parent[36..52]);
        }
        assert_eq!(hex(&first.parent), &parent[36..52]);
        assert!(second.is_root());
        let deferred = &deferred[nth];
        assert!(deferred.kind == SpanKind::Client && deferred.is_root() && !deferred.failed);
        assert!(first.begin <= deferred.begin && deferred.begin <= second.begin);
        deferred.has_exactly(&[
            ("messaging.client.id", "worker-1"),
            ("messaging.consumer.group.name", "patient"),
            ("messaging.destination.name", "orders"),
            ("messaging.message.id", &offset),
            ("messaging.operation.name", "defer"),
            ("messaging.operation.type", "settle"),
            ("messaging.system", "vulkan"),
            ("server.address", "*"),
            ("server.port", &port(&client).await),
            ("vulkan.offset", &offset),
        ]);
    }
    worker.end().await;
}

#[tokio::test]
async fn keys_and_sizes_are_told_only_if_asked_for() {
    let (database, _client) = database().await;
    let receiver = Receiver::start().await;
    let options = "partition-keys,body-sizes";
    Program::run("publish", &database.url(), &receiver, options).await;
    let worker = Program::start("work", &database.url(), &receiver, options);
    let attempts = until_named(&receiver, "process orders", "billing", 3).await;
    let published = receiver.named("publish orders");
    assert_eq!(published.len(), 3);
    for span in &published {
        assert!(span.is("vulkan.partition_key", "canary-key"), "{span:#?}");
        let length = r#"{"card":"canary-payload"}"#.len().to_string();
        assert!(span.is("messaging.message.body.size", &length), "{span:#?}");
    }
    for span in &attempts {
        assert!(span.is("vulkan.partition_key", "canary-key"), "{span:#?}");
        // As the database writes it.
        let length = r#"{"card": "canary-payload"}"#.len().to_string();
        assert!(span.is("messaging.message.body.size", &length), "{span:#?}");
    }
    let created = receiver.named("create rows");
    let keys: Vec<_> = created
        .iter()
        .map(|span| span.attributes["vulkan.partition_key"].as_str())
        .collect();
    let rows = ["row.a", "row.b", "row.c"].map(|kind| format!("canary-key-{kind}"));
    assert_eq!(keys, rows);
    let sized = |span: &Span| span.is("messaging.message.body.size", "1");
    assert!(created.iter().all(sized), "{created:#?}");
    worker.end().await;
    assert!(!receiver.holds("canary-payload"));
}

#[tokio::test]
async fn without_create_spans_a_batch_shares_the_context_of_its_publish() {
    let (database, _client) = database().await;
    let receiver = Receiver::start().await;
    let options = "no-create-spans";
    Program::run("publish", &database.url(), &receiver, options).await;
    let worker = Program::start("work", &database.url(), &receiver, "");
    let linked = || -> Vec<_> {
        let rows = receiver.named("process rows");
        rows.into_iter().flat_map(|row| row.links).collect()
    };
    until("all rows to be handled", || async { linked().len() == 3 }).await;
    worker.end().await;
    assert!(receiver.named("create rows").is_empty());
    let sent = the(&receiver, "publish rows");
    assert_eq!(sent.kind, SpanKind::Producer);
    assert!(sent.is_child_of(&the(&receiver, "checkout")) && sent.links.is_empty());
    assert!(sent.is("messaging.batch.message_count", "3"));
    assert_eq!(linked(), vec![sent.as_link(); 3]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
