//! Messages as a table, for the text of a failure.

use std::fmt;

use vulkan::Status;

use super::TestMessage;

/// More lines than this help nobody.
const MOST: usize = 40;

pub(crate) struct Table<'a>(pub(crate) &'a [TestMessage]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "  no messages");
        }
        let head = ["offset", "kind", "key", "status", "attempts", ""].map(str::to_owned);
        let rows: Vec<[String; 6]> = std::iter::once(head)
            .chain(self.0.iter().take(MOST).map(row))
            .collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..5).map(width).collect();
        for [offset, kind, key, status, attempts, more] in &rows {
            let line = format!(
                "  {offset:>0$}  {kind:1$}  {key:2$}  {status:3$}  {attempts:4$}  {more}",
                widths[0], widths[1], widths[2], widths[3], widths[4]
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        match self.0.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

fn row(message: &TestMessage) -> [String; 6] {
    let status = match message.status {
        Status::Ready => "ready",
        Status::Processing => "processing",
        Status::Done => "done",
        Status::Dead => "dead",
    };
    let mut more = Vec::new();
    match (message.status, message.due_in) {
        (Status::Ready, Some(due_in)) if !due_in.is_zero() => {
            // To the second, above it: nobody reads nanoseconds.
            more.push(format!("due in {:?}", round(due_in)));
        }
        (Status::Ready, _) => more.push("due".to_owned()),
        _ => {}
    }
    if let (Status::Processing, Some(worker)) = (message.status, &message.worker) {
        more.push(format!("with worker {worker}"));
    }
    if let Some(error) = &message.last_error {
        more.push(error.lines().next().unwrap_or_default().to_owned());
    }
    [
        message.offset.to_string(),
        message.kind.clone(),
        message.key.clone().unwrap_or_else(|| "-".to_owned()),
        status.to_owned(),
        format!("{} of {}", message.attempts, message.max_attempts),
        more.join("; "),
    ]
}

fn round(span: std::time::Duration) -> std::time::Duration {
    match span.as_secs() {
        0 => std::time::Duration::from_millis(span.as_millis().try_into().unwrap_or(u64::MAX)),
        seconds => std::time::Duration::from_secs(seconds),
    }
}
