use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use vulkan::{Error, Message};

use super::{KIND, STREAM};

/// The shortest payload: the time alone, and a note of no length.
pub(super) const MIN_BYTES: usize = 33;

/// What a handler gets.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    /// When it was about to be published, in microseconds since 1970, by the clock of the producer. By that of the
    /// database the way there would not count, nor how far the two clocks are apart be known.
    pub(super) at: u64,
    /// What makes it as long as it is.
    #[serde(rename = "note")]
    pub(super) _note: String,
}

#[derive(Serialize)]
struct Published<'a> {
    at: u64,
    note: &'a str,
}

/// Makes messages of one size.
#[derive(Debug)]
pub(super) struct Jobs {
    note: String,
}

impl Jobs {
    /// Of payloads of so many bytes, as they are sent. The database writes them its own way.
    pub(super) fn of_bytes(bytes: usize) -> Self {
        Self {
            note: "x".repeat(bytes.saturating_sub(MIN_BYTES)),
        }
    }

    /// So many messages that are published now.
    pub(super) fn make(&self, count: u64) -> Result<Vec<Message>, Error> {
        let job = Published {
            at: micros(),
            note: &self.note,
        };
        (0..count)
            .map(|_| Message::new(STREAM, KIND, &job))
            .collect()
    }
}

/// The time, in microseconds since 1970.
pub(super) fn micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Job, Jobs, MIN_BYTES};

    #[test]
    fn a_payload_is_as_long_as_asked_for() {
        for bytes in [MIN_BYTES, 34, 256, 4096] {
            let messages = Jobs::of_bytes(bytes).make(2).unwrap();
            assert_eq!(messages.len(), 2);
            for message in messages {
                assert_eq!(message.payload().get().len(), bytes);
                let job: Job = serde_json::from_str(message.payload().get()).unwrap();
                assert!(job.at > 0);
            }
        }
    }
}
