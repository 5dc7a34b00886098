//! Bugs in the worker.
//!
//! They are all compiled into one program, in which each sleeps until it is asked for: `SEEDED` stands for whether it is.

use super::entry::Mutant;

pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a lease is never extended",
        file: "vulkan-worker/src/runtime/keeper.rs",
        search: "client.extend(&held)",
        replace: "client.extend(if SEEDED { &[][..] } else { &held[..] })",
        also: &[],
        tests: &[
            "worker::slow::a_slow_message_outlives",
            "worker::slow::a_slow_run_of_a_key",
        ],
    },
    Mutant {
        name: "a handler is not told that its lease is lost",
        file: "vulkan-worker/src/runtime/keeper.rs",
        search: "group.ledger.lose(&lost);",
        replace: "if !SEEDED { group.ledger.lose(&lost); }",
        also: &[],
        tests: &["worker::slow::a_worker_that_loses", "worker::cancelled"],
    },
    Mutant {
        name: "a panic counts as success",
        file: "vulkan-worker/src/runtime/execute.rs",
        search: "Err(panic) => handler.retry(number, &panic_text(&*panic)),",
        replace: "Err(_) if SEEDED => Outcome::Done, Err(panic) => handler.retry(number, &panic_text(&*panic)),",
        also: &[],
        tests: &["worker::failures::a_panic_is_recorded"],
    },
    Mutant {
        name: "a handler's time has no limit",
        file: "vulkan-worker/src/runtime/execute.rs",
        search: "let mut limit = pin!(wait(handler.timeout));",
        replace: "let mut limit = pin!(wait(if SEEDED { None } else { handler.timeout }));",
        also: &[],
        tests: &["worker::failures::a_handler_that_takes_too_long"],
    },
    Mutant {
        name: "a transaction commits after an error",
        file: "vulkan-worker/src/runtime/execute.rs",
        search: "delivery.tx.roll_back().await;",
        replace: "if SEEDED { let _ = delivery.commit().await; } else { delivery.tx.roll_back().await; }",
        also: &[],
        tests: &["worker::tx::nothing_commits_after"],
    },
    Mutant {
        name: "a handler's transaction does not mark its message done",
        file: "vulkan-worker/src/handler/tx_slot.rs",
        search: "lent.work.commit(held.into_iter().collect())",
        replace: "lent.work.commit(held.into_iter().filter(|_| !SEEDED).collect())",
        also: &[],
        tests: &[
            "worker::tx::who_lost_the_lease",
            "worker::tx::what_an_operator_skips",
        ],
    },
    Mutant {
        name: "a run goes on after a failure",
        file: "vulkan-worker/src/runtime/runner.rs",
        search: "(Outcome::Done, Some(next)) => next,",
        replace: "(Outcome::Done, Some(next)) => next, (_, Some(next)) if SEEDED => next,",
        also: &[],
        tests: &[
            "worker::keyed::a_run_stops_at_its_first_failure",
            "worker::keyed::a_key_that_fails",
        ],
    },
    Mutant {
        name: "a settlement is tried once",
        file: "vulkan-worker/src/runtime/settler.rs",
        search: "tokio::time::sleep(patience.delay()).await;",
        replace: "if SEEDED { return; } tokio::time::sleep(patience.delay()).await;",
        also: &[],
        tests: &[
            "worker::database::work_goes_on_when",
            "worker::database::connections_that_are_terminated",
            "worker::database::what_cannot_be_reported",
        ],
    },
    Mutant {
        name: "nobody reaps",
        file: "vulkan-worker/src/runtime/housekeeping.rs",
        search: "match client.reap(look_back).await {",
        replace: "match if SEEDED { Ok(vulkan_core::engine::Reaped::default()) } else { client.reap(look_back).await } {",
        also: &[],
        tests: &["worker::processes::another_takes_over"],
    },
    Mutant {
        name: "suspects are handled side by side",
        file: "vulkan-worker/src/runtime/claimer.rs",
        search: ".claim(most, lanes, solo.is_some(), span.is_written())",
        replace: ".claim(most, lanes, SEEDED || solo.is_some(), span.is_written())",
        also: &[],
        tests: &[
            "worker::slow::what_came_back",
            "worker::processes::a_message_that_kills",
        ],
    },
];
