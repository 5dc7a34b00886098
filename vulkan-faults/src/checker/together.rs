//! Publishes within a transaction: the event and the application's write are both there, or neither is.

use std::collections::HashSet;

use super::{Anomaly, History};

pub(super) fn check(history: &History, found: &mut Vec<Anomaly>) {
    let stored: HashSet<u64> = history.last.log.iter().map(|event| event.id).collect();
    for (id, publish) in &history.publishes {
        let (event, write) = (stored.contains(id), history.last.business.contains(id));
        if publish.together && event != write {
            let (there, missing) = match event {
                true => ("event", "write"),
                false => ("write", "event"),
            };
            found.push(Anomaly::new(
                "torn-transaction",
                format!(
                    "of transaction {id} the {there} is there and the application's {missing} is not"
                ),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::checker::story::Story;
    use crate::ledger::Entry;

    #[test]
    fn of_a_transaction_all_is_there_or_nothing() {
        let together = |mut story: Story, written: bool| {
            if written {
                story.last.business.insert(7);
            }
            story.note(0, Entry::Together { id: 7 }).anomalies()
        };
        let committed = || Story::new().ok(7, 7).run(7, 7).delivered(7, "done", 1);
        assert_eq!(together(committed(), true), [""; 0]);
        assert_eq!(together(committed(), false), ["torn-transaction"]);
        assert_eq!(together(Story::new().fail(7), false), [""; 0]);
        assert_eq!(together(Story::new().fail(7), true), ["torn-transaction"]);
        // Nobody knows which: but it is one of the two.
        assert_eq!(together(Story::new().info(7), false), [""; 0]);
        assert_eq!(together(Story::new().info(7), true), ["torn-transaction"]);
    }
}
