//! The log lines of a worker, made from its events: the one place that writes them.

use super::events::WorkerEvent;

/// Writes what an operator wants to read. What goes well and often is not written.
pub(super) fn write(event: &WorkerEvent<'_>) {
    match event {
        WorkerEvent::Begun { .. }
        | WorkerEvent::Succeeded { .. }
        | WorkerEvent::Snoozed { .. }
        | WorkerEvent::Claimed { .. }
        | WorkerEvent::Settled { .. }
        | WorkerEvent::ScheduleFired { .. } => {}
        event => write_rare(event),
    }
}

/// Apart, so that what is told for each message stays small.
#[cold]
fn write_rare(event: &WorkerEvent<'_>) {
    match *event {
        WorkerEvent::Started { worker, groups } => {
            tracing::info!(worker, groups, "the worker runs");
        }
        WorkerEvent::Stopping { worker } => tracing::info!(worker, "the worker stops"),
        WorkerEvent::Diagnosed { diagnosis } if diagnosis.is_danger => {
            tracing::error!(problem = diagnosis.problem, "{diagnosis}");
        }
        WorkerEvent::Diagnosed { diagnosis } => {
            tracing::warn!(problem = diagnosis.problem, "{diagnosis}");
        }
        WorkerEvent::DrainRequested { worker } => tracing::info!(worker, "asked to drain"),
        WorkerEvent::OtherVersions {
            worker,
            version,
            others: [],
        } => tracing::info!(worker, version, "workers of other versions have gone"),
        WorkerEvent::OtherVersions {
            worker,
            version,
            others,
        } => tracing::warn!(
            worker,
            version,
            ?others,
            "workers of other versions serve the same groups; the options of the highest stand"
        ),
        WorkerEvent::OptionsDiffer {
            stream,
            group,
            standing_version,
            differences,
        } => tracing::warn!(
            stream,
            group,
            standing_version,
            differences,
            "the group has other options than this program declares; a higher version, or an operator, has set them"
        ),
        WorkerEvent::OptionsChanged {
            stream,
            group,
            max_attempts,
            lease,
        } => tracing::info!(
            stream,
            group,
            max_attempts,
            ?lease,
            "the options of the group have changed"
        ),
        WorkerEvent::Stuck {
            stream,
            group,
            handler,
            offset,
            blocked,
        } => tracing::error!(
            stream,
            group,
            handler,
            offset,
            ?blocked,
            "the handler blocks its thread, and nothing can end it; let it await, or use spawn_blocking"
        ),
        WorkerEvent::CutOff { worker, messages } => tracing::warn!(
            worker,
            running = messages,
            "the grace period is over; handlers are dropped"
        ),
        WorkerEvent::LeftBehind { worker, messages } => tracing::error!(
            worker,
            stuck = messages,
            "handlers do not yield; they are left behind"
        ),
        WorkerEvent::Stopped {
            worker,
            cut_off,
            unsettled,
        } => tracing::info!(worker, cut_off, unsettled, "the worker has stopped"),
        WorkerEvent::NoHandler {
            attempt: of,
            elsewhere: true,
        } => tracing::debug!(
            stream = of.stream,
            group = of.group,
            offset = of.offset,
            kind = of.kind,
            "left to another worker, which has a handler"
        ),
        WorkerEvent::NoHandler { attempt: of, .. } => tracing::warn!(
            stream = of.stream,
            group = of.group,
            offset = of.offset,
            kind = of.kind,
            "no handler"
        ),
        // The message will be reported dead.
        WorkerEvent::Failed { last: true, .. } => {}
        WorkerEvent::Failed {
            attempt: of, error, ..
        } => tracing::warn!(
            stream = of.stream,
            group = of.group,
            handler = of.handler,
            offset = of.offset,
            kind = of.kind,
            attempt = of.number,
            error,
            "the attempt failed"
        ),
        WorkerEvent::Dead { attempt: of, error } => tracing::error!(
            stream = of.stream,
            group = of.group,
            handler = of.handler,
            offset = of.offset,
            kind = of.kind,
            attempt = of.number,
            error,
            "the message is dead"
        ),
        WorkerEvent::Interrupted {
            attempt: of, why, ..
        } => tracing::info!(
            stream = of.stream,
            group = of.group,
            handler = of.handler,
            offset = of.offset,
            kind = of.kind,
            attempt = of.number,
            %why,
            "the attempt was interrupted"
        ),
        WorkerEvent::CancellationIgnored {
            attempt: of,
            why,
            given,
        } => tracing::warn!(
            stream = of.stream,
            group = of.group,
            handler = of.handler,
            offset = of.offset,
            kind = of.kind,
            attempt = of.number,
            %why,
            ?given,
            "the handler was told to end and did not; it is dropped"
        ),
        WorkerEvent::Released {
            stream,
            group,
            messages,
        } => tracing::debug!(
            stream,
            group,
            messages,
            "messages were given back unfinished"
        ),
        WorkerEvent::Stale {
            stream,
            group,
            settlements,
        } => tracing::warn!(
            stream,
            group,
            stale = settlements,
            "leases were lost before their messages were settled; they are handled again"
        ),
        WorkerEvent::Unsettleable {
            stream,
            group,
            error,
        } => tracing::error!(
            stream, group, %error,
            "cannot settle a message; it is handled again when its lease runs out"
        ),
        WorkerEvent::LeaseLost {
            stream,
            group,
            offset,
        } => tracing::warn!(stream, group, offset, "the lease of a message is lost"),
        WorkerEvent::Reaped {
            claims,
            messages,
            lanes,
        } => tracing::warn!(
            claims,
            exceptions = messages,
            lanes,
            "lost leases were given back"
        ),
        WorkerEvent::ScheduleFailed { schedule, error } => {
            tracing::error!(schedule, %error, "the schedule cannot be fired");
        }
        WorkerEvent::Trouble { call, group, error } => tracing::warn!(
            stream = group.map(|group| group.0),
            group = group.map(|group| group.1),
            error = error.map(tracing::field::display),
            "cannot {call}{}",
            if error.is_some() {
                ""
            } else {
                ": no answer yet"
            }
        ),
        WorkerEvent::Begun { .. }
        | WorkerEvent::Succeeded { .. }
        | WorkerEvent::Snoozed { .. }
        | WorkerEvent::Claimed { .. }
        | WorkerEvent::Settled { .. }
        | WorkerEvent::ScheduleFired { .. } => {}
    }
}
