//! Cursor readers: they skip nothing, and never go back.

use std::collections::HashMap;

use super::{Anomaly, History};
use crate::ledger::Entry;

pub(super) fn check(history: &History, found: &mut Vec<Anomaly>) {
    let mut readers: HashMap<(&str, u32), Vec<i64>> = HashMap::new();
    for line in &history.lines {
        if let Entry::Read { reader, offset } = &line.entry {
            readers.entry((reader, line.pid)).or_default().push(*offset);
        }
    }
    let mut log: Vec<i64> = history.last.log.iter().map(|event| event.offset).collect();
    log.sort_unstable();
    for ((reader, pid), read) in readers {
        if let Some(pair) = read.windows(2).find(|pair| pair[1] <= pair[0]) {
            found.push(Anomaly::new(
                "nonmonotonic-poll",
                format!(
                    "reader {reader} of process {pid} read {} after {}",
                    pair[1], pair[0]
                ),
            ));
        }
        let (Some(first), Some(last)) = (read.iter().min(), read.iter().max()) else {
            continue;
        };
        let there: std::collections::HashSet<i64> = read.iter().copied().collect();
        let skipped: Vec<i64> = log
            .iter()
            .filter(|offset| *first <= **offset && *offset <= last && !there.contains(*offset))
            .copied()
            .collect();
        if let Some(one) = skipped.first() {
            found.push(Anomaly::new(
                "poll-skip",
                format!(
                    "reader {reader} of process {pid} skipped {} events, {one} the first",
                    skipped.len()
                ),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::checker::story::Story;
    use crate::ledger::Entry;

    fn read(offsets: &[i64]) -> Vec<&'static str> {
        let mut story = Story::sound();
        for (at, offset) in offsets.iter().enumerate() {
            let reader = "r".to_owned();
            story = story.note(
                at as u64,
                Entry::Read {
                    reader,
                    offset: *offset,
                },
            );
        }
        story.anomalies()
    }

    #[test]
    fn a_reader_that_reads_all_in_order_is_right() {
        assert_eq!(read(&[1, 2, 3]), [""; 0]);
        // What lies above its last one it has yet to read.
        assert_eq!(read(&[1, 2]), [""; 0]);
    }

    #[test]
    fn a_reader_skips_nothing() {
        assert_eq!(read(&[1, 3]), ["poll-skip"]);
    }

    #[test]
    fn a_reader_never_goes_back() {
        assert_eq!(read(&[1, 2, 3, 2]), ["nonmonotonic-poll"]);
    }
}
