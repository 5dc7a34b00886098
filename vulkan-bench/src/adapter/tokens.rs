use std::io::{self, BufRead};
use std::thread;

use tokio::sync::mpsc::{Receiver, channel};

/// How many may wait here; the rest wait in the pipe.
const WAITING: usize = 1024;

/// What the harness orders on the standard input: lines `ENQUEUE n`. Ends with the input.
///
/// By a thread, which waits for the next line when the process ends, and does not hold that up.
pub(super) fn tokens() -> io::Result<Receiver<u64>> {
    let (order, ordered) = channel(WAITING);
    thread::Builder::new()
        .name("tokens".into())
        .spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                match token(&line) {
                    Some(messages) => {
                        if order.blocking_send(messages).is_err() {
                            return;
                        }
                    }
                    None => {
                        tracing::warn!(%line, "is no order: it must be ENQUEUE and a whole number")
                    }
                }
            }
        })?;
    Ok(ordered)
}

fn token(line: &str) -> Option<u64> {
    line.trim().strip_prefix("ENQUEUE ")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn a_token_is_a_word_and_a_number() {
        assert_eq!(token("ENQUEUE 20"), Some(20));
        assert_eq!(token("ENQUEUE 0\r"), Some(0));
        for line in ["", "ENQUEUE", "ENQUEUE -1", "DEQUEUE 1", "20"] {
            assert_eq!(token(line), None);
        }
    }
}
