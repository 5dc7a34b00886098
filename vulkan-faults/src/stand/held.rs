//! Whether the load was held that a fault is meant to meet.

use std::collections::HashMap;

use super::Stand;
use crate::clock::seconds;
use crate::ledger::Entry;

impl Stand {
    /// States whether publishers got half of what was offered committed while the server was there. Returns the load in
    /// words.
    pub(super) fn judge_load(&mut self) -> String {
        let work = format!(
            "{} workers × {} slots, {} groups",
            self.setup.workers,
            self.setup.slots,
            self.setup.groups.len()
        );
        let mut lines: Vec<_> = self.lines.iter().collect();
        lines.sort_by_key(|line| line.at);
        let (mut up, mut away) = (HashMap::new(), Vec::new());
        let (mut gone, mut offered, mut published) = (None, 0.0, 0_usize);
        let mut publishers = Vec::new();
        for line in &lines {
            match &line.entry {
                Entry::Up { role, .. } if role == "publisher" => {
                    up.insert(line.pid, line.at);
                    publishers.push(line.pid);
                }
                Entry::Down => {
                    if let Some(from) = up.remove(&line.pid) {
                        offered += seconds(line.at - from);
                        // What was away meanwhile took nothing.
                        let mut taken = away.clone();
                        taken.extend(gone.map(|gone| (gone, line.at)));
                        let taken = taken.iter().map(|(begin, end): &(u64, u64)| {
                            (*end).min(line.at).saturating_sub((*begin).max(from))
                        });
                        offered -= seconds(taken.sum());
                    }
                }
                Entry::Gone { .. } => gone = gone.or(Some(line.at)),
                Entry::Back { .. } => away.extend(gone.take().map(|from| (from, line.at))),
                Entry::Ok { .. } if publishers.contains(&line.pid) => published += 1,
                _ => {}
            }
        }
        if publishers.is_empty() {
            return format!("no publishers, {work}");
        }
        self.inflicted(
            "events published meanwhile",
            published.to_string(),
            "> 0",
            published > 0,
        );
        let rate = published as f64 / offered.max(0.001);
        let of = self.offered;
        if let Some(least) = self.least_load {
            self.speed(
                "load held while the server was there",
                format!("{rate:.0} of {of} events/s"),
                format!(">= {:.0} %", least * 100.0),
                rate >= of * least,
            );
        }
        format!("{rate:.0} of {of} events/s, {work}")
    }
}
