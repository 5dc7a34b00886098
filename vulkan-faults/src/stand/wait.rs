//! Waiting for what the ledgers say, and counting it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::Stand;
use crate::Result;
use crate::child::Group;
use crate::clock::{mono_us, seconds};
use crate::ledger::{Entry, How, Line};

const LOOK: Duration = Duration::from_millis(20);

impl Stand {
    /// Waits until the ledgers say so, at most so many seconds; returns how many it took.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        limit: u64,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Result<f64> {
        let begun = mono_us();
        loop {
            self.refresh()?;
            if holds(self) {
                return Ok(seconds(mono_us() - begun));
            }
            if mono_us() - begun > limit * 1_000_000 {
                return Err(format!("{what} did not come within {limit} s").into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until every group has done a message that began from now on; returns how many seconds that took.
    pub(crate) async fn until_flows(&mut self, limit: u64) -> Result<f64> {
        let since = mono_us();
        let names: Vec<String> = self
            .setup
            .groups
            .iter()
            .map(|group| group.name.clone())
            .collect();
        let mut from = self.lines.len();
        let mut begun: Vec<(u32, String, i64)> = Vec::new();
        let mut flowing: Vec<String> = Vec::new();
        self.until("work in every group", limit, |stand| {
            for line in &stand.lines[from..] {
                match &line.entry {
                    Entry::Start { group, offset, .. } if line.at >= since => {
                        begun.push((line.pid, group.clone(), *offset));
                    }
                    Entry::End {
                        group,
                        offset,
                        how: How::Done,
                        ..
                    } if !flowing.contains(group)
                        && begun
                            .iter()
                            .any(|(pid, of, at)| (*pid, of, *at) == (line.pid, group, *offset)) =>
                    {
                        flowing.push(group.clone());
                    }
                    _ => {}
                }
            }
            from = stand.lines.len();
            names.iter().all(|name| flowing.contains(name))
        })
        .await
    }

    /// Lets it run for so long.
    pub(crate) async fn run_for(&mut self, seconds: f64) -> Result<()> {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        self.refresh()
    }

    /// Messages done a second, of all groups, between two moments.
    pub(crate) fn throughput(&self, from: u64, to: u64) -> f64 {
        let done = |line: &&Line| {
            (from..to).contains(&line.at) && matches!(line.entry, Entry::End { how: How::Done, .. })
        };
        self.lines.iter().filter(done).count() as f64 / seconds(to - from)
    }

    /// Measures throughput for so many seconds.
    pub(crate) async fn measured(&mut self, long: f64) -> Result<f64> {
        let from = mono_us();
        self.run_for(long).await?;
        Ok(self.throughput(from, mono_us()))
    }

    /// Whether every process that lives said, after this moment, last that it is (or is not) ready.
    pub(crate) fn all_ready(&self, ready: bool) -> bool {
        self.workers.iter().all(|worker| {
            let said = self.lines.iter().rev().find_map(|line| match &line.entry {
                Entry::Ready { ready, .. } if line.pid == worker.pid => Some(*ready),
                _ => None,
            });
            said == Some(ready)
        })
    }

    /// How many lines since a moment are like this.
    pub(crate) fn count(&self, since: u64, like: impl Fn(&Entry) -> bool) -> usize {
        let is = |line: &&Line| line.at >= since && like(&line.entry);
        self.lines.iter().filter(is).count()
    }

    /// Processes that ended although nobody asked them to.
    pub(crate) fn ended_unasked(&mut self) -> Result<Vec<String>> {
        let mut ended = Vec::new();
        let others = self.publishers.iter_mut().chain(&mut self.readers);
        for process in self.workers.iter_mut().chain(others) {
            if let Some(status) = process.has_ended()? {
                ended.push(format!("process {}: {status}", process.pid));
            }
        }
        Ok(ended)
    }
}

/// Times that a run took, in seconds.
impl Stand {
    /// From the acknowledgement of a publish to the begin of its first handler in each group, of those acknowledged between
    /// two moments. What no handler has begun by now counts as never.
    pub(crate) fn delays(&self, from: u64, to: u64) -> Vec<f64> {
        let (mut keyed, mut begun) = (HashSet::new(), HashMap::new());
        for line in &self.lines {
            match &line.entry {
                Entry::Invoke {
                    id, key: Some(_), ..
                } => _ = keyed.insert(*id),
                Entry::Start { group, offset, .. } => {
                    let first = begun.entry((group.as_str(), *offset)).or_insert(line.at);
                    *first = line.at.min(*first);
                }
                _ => {}
            }
        }
        let mut delays = Vec::new();
        for line in &self.lines {
            if let Entry::Ok { id, offset } = &line.entry
                && (from..to).contains(&line.at)
            {
                let takes = |group: &&Group| !group.keyed_only || keyed.contains(id);
                for group in self.setup.groups.iter().filter(takes) {
                    let first = begun.get(&(group.name.as_str(), *offset));
                    delays.push(first.map_or(f64::INFINITY, |first| {
                        seconds(first.saturating_sub(line.at))
                    }));
                }
            }
        }
        delays
    }

    /// How long claims took that brought something, between two moments.
    pub(crate) fn claims(&self, from: u64, to: u64) -> Vec<f64> {
        let within = self
            .lines
            .iter()
            .filter(|line| (from..to).contains(&line.at));
        within
            .filter_map(|line| match line.entry {
                Entry::Claimed { took_us, .. } => Some(seconds(took_us)),
                _ => None,
            })
            .collect()
    }
}
