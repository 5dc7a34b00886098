//! Steps that scenarios share.

mod hammer;
mod stream;
mod trickle;

pub(super) use hammer::hammer;
pub(super) use stream::{Producer, Shape};
pub(super) use trickle::trickle;

use crate::Result;
use crate::bench::Bench;
use crate::meter::{Cost, Meter};
use crate::server::Database;
use crate::worker::{Crew, Deed, WorkOrder, Worked};

/// As many messages are handled at once, where a scenario does not say otherwise.
pub(crate) const SLOTS: usize = 64;

/// A drain of a whole log by worker processes.
pub(crate) struct Drain<'a> {
    pub(crate) database: &'a Database,
    /// New to the database: it begins with the oldest event.
    pub(crate) group: String,
    pub(crate) processes: usize,
    pub(crate) slots: usize,
    pub(crate) deed: Deed,
    pub(crate) messages: u64,
}

impl<'a> Drain<'a> {
    pub(crate) fn new(database: &'a Database, group: impl Into<String>, messages: u64) -> Self {
        Self {
            database,
            group: group.into(),
            processes: 1,
            slots: SLOTS,
            deed: Deed::Nothing,
            messages,
        }
    }

    pub(crate) fn order(&self) -> WorkOrder {
        WorkOrder {
            url: self.database.url.clone(),
            groups: vec![self.group.clone()],
            slots: self.slots,
            deed: self.deed,
        }
    }

    /// From the begin until all of it is settled.
    pub(crate) async fn run(self, bench: &Bench) -> Result<(Worked, Cost)> {
        let mut crew = Crew::start(self.processes, &self.order()).await?;
        let meter = Meter::begin(&bench.server, &self.database.pool).await?;
        crew.begin().await?;
        crew.until(|progress| progress.handled >= self.messages)
            .await?;
        let worked = crew.stop().await?;
        let cost = worked.cost(meter).await?;
        Ok((worked, cost))
    }
}
