use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use vulkan_core::engine::DueSchedule;
use vulkan_core::{Client, Error};

use super::events::{DatabaseCall, Listeners, WorkerEvent};
use super::patience::{Patience, jittered};

/// How often it looks for schedules while none is about to be due.
const POLL: Duration = Duration::from_secs(10);
/// How far ahead it looks, which is over a poll with its jitter.
const AHEAD: Duration = Duration::from_secs(15);
/// How far back a look goes, most of the time.
const LOOK_BACK: Duration = Duration::from_secs(120);
/// One look in so many goes back to the beginning.
const THOROUGH: u32 = 12;
/// Delays while what is due is in another's hands: doubled from the first to the last.
const TAKEN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Fires the recurring events, of all programs, when they are due. Every worker does it, none is
/// elected: which of them is the first at a tick is decided by the database.
pub(super) async fn fire(client: Client, changed: Arc<Notify>, listeners: Listeners) {
    let mut patience = Patience::new();
    let mut round = 0_u32;
    let mut taken = TAKEN.0;
    loop {
        let look_back = (!round.is_multiple_of(THOROUGH)).then_some(LOOK_BACK);
        let known = match client.due_schedules(AHEAD, look_back).await {
            Ok(known) => known,
            Err(error) => {
                // The next look is thorough: while the database was away, ticks were missed.
                round = 0;
                listeners.tell(&trouble(&error));
                tokio::time::sleep(patience.delay()).await;
                continue;
            }
        };
        patience.reset();
        let mut rest = jittered(POLL);
        let (mut due, mut moved) = (false, false);
        for schedule in &known {
            let wait = schedule.wait();
            if wait.is_zero() {
                due = true;
                moved |= attend(&client, schedule, &listeners).await;
            } else {
                rest = rest.min(wait);
            }
        }
        if moved {
            // Where they stand now is for the next look to say.
            taken = TAKEN.0;
            continue;
        }
        if due {
            rest = rest.min(taken);
            taken = (taken * 2).min(TAKEN.1);
        } else {
            taken = TAKEN.0;
            round = round.wrapping_add(1);
        }
        // Rung when somebody changes a schedule; to miss it only costs the poll.
        let _ = timeout(rest, changed.notified()).await;
    }
}

/// Plans or fires one schedule. Returns whether it was this worker that moved it on.
async fn attend(client: &Client, schedule: &DueSchedule, listeners: &Listeners) -> bool {
    let moved = match schedule.due {
        None => client.plan_schedule(schedule).await,
        Some(_) => match client.fire_schedule(schedule).await {
            Ok(Some(offsets)) => {
                listeners.tell(&WorkerEvent::ScheduleFired {
                    schedule: &schedule.name,
                    offsets: &offsets,
                });
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        },
    };
    match moved {
        Ok(moved) => moved,
        Err(error) => {
            listeners.tell(&WorkerEvent::ScheduleFailed {
                schedule: &schedule.name,
                error: &error,
            });
            // What passes by itself is tried again at once; what does not must stand in no other's way.
            if !error.is_transient() {
                let noted = client.fail_schedule(schedule, &told(&error)).await;
                if let Err(error) = noted {
                    listeners.tell(&trouble(&error));
                }
            }
            false
        }
    }
}

fn trouble(error: &Error) -> WorkerEvent<'_> {
    WorkerEvent::Trouble {
        call: DatabaseCall::Schedules,
        group: None,
        error: Some(error),
    }
}

/// The error with its causes.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
