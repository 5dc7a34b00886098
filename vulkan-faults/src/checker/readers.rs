//! Cursor readers: they skip nothing, and never go back.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Anomaly, History};
use crate::ledger::Entry;

pub(super) fn check(history: &History, found: &mut Vec<Anomaly>) {
    let mut readers: HashMap<(&str, u32), Vec<i64>> = HashMap::new();
    for line in &history.lines {
        if let Entry::Read { reader, offset } = &line.entry {
            readers.entry((reader, line.pid)).or_default().push(*offset);
        }
    }
    let log: BTreeSet<i64> = history.last.log.iter().map(|event| event.offset).collect();
    // Who was to read everything, and read nothing, left no line.
    for name in &history.rules.read_all {
        if !log.is_empty() && !readers.keys().any(|(reader, _)| reader == name) {
            let detail = format!("reader {name} read nothing");
            found.push(Anomaly::new("poll-skip", detail));
        }
    }
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
        // It reads from the beginning. What lies above its last one it may have had no time for.
        let last = match history.rules.read_all.iter().any(|name| name == reader) {
            true => i64::MAX,
            false => read.iter().max().copied().unwrap_or_default(),
        };
        let there: HashSet<i64> = read.iter().copied().collect();
        let skipped: Vec<i64> = (log.iter())
            .filter(|offset| **offset <= last && !there.contains(*offset))
            .copied()
            .collect();
        let never = there.iter().find(|offset| {
            !log.contains(*offset) && !history.last.forgotten.iter().any(|(of, _)| of == *offset)
        });
        if let Some(offset) = never {
            found.push(Anomaly::new(
                "g1a",
                format!(
                    "reader {reader} of process {pid} read {offset}, which was never committed"
                ),
            ));
        }
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

    fn told(mut story: Story, offsets: &[i64]) -> Vec<&'static str> {
        for (at, offset) in offsets.iter().enumerate() {
            let (reader, offset) = ("r".to_owned(), *offset);
            story = story.note(at as u64, Entry::Read { reader, offset });
        }
        story.anomalies()
    }

    fn read(offsets: &[i64]) -> Vec<&'static str> {
        told(Story::sound(), offsets)
    }

    #[test]
    fn a_reader_that_reads_all_in_order_is_right() {
        assert_eq!(read(&[1, 2, 3]), [""; 0]);
        // What lies above its last one it has yet to read.
        assert_eq!(read(&[1, 2]), [""; 0]);
    }

    #[test]
    fn a_reader_that_had_the_time_reads_to_the_end() {
        let mut story = Story::sound();
        story.rules.read_all = vec!["r".into()];
        assert_eq!(told(story.clone(), &[1, 2, 3]), [""; 0]);
        assert_eq!(told(story.clone(), &[1, 2]), ["poll-skip"]);
        assert_eq!(told(story, &[]), ["poll-skip"]);
    }

    #[test]
    fn a_reader_skips_nothing() {
        assert_eq!(read(&[1, 3]), ["poll-skip"]);
        assert_eq!(read(&[2, 3]), ["poll-skip"]);
    }

    #[test]
    fn a_reader_sees_nothing_that_is_not_committed() {
        assert_eq!(read(&[1, 2, 3, 4]), ["g1a"]);
        let mut story = Story::sound();
        story.last.forgotten = [(4, 4)].into();
        assert_eq!(told(story, &[1, 2, 3, 4]), [""; 0]);
    }

    #[test]
    fn a_reader_never_goes_back() {
        assert_eq!(read(&[1, 2, 3, 2]), ["nonmonotonic-poll"]);
    }
}
