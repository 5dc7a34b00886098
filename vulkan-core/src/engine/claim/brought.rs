use std::collections::BTreeSet;

use tokio::runtime::Handle;

use super::Claimed;
use crate::client::Client;
use crate::engine::{Item, Outcome, Settlement};

/// What a claim has brought, on its way to who asked for it. Nobody else knows of these messages: dropped, they are
/// given back, which else only the end of their leases would do.
pub(super) struct Brought {
    pub(super) client: Client,
    pub(super) group_id: i32,
    pub(super) messages: Vec<Claimed>,
}

impl Brought {
    /// They have arrived.
    pub(super) fn take(mut self) -> Vec<Claimed> {
        std::mem::take(&mut self.messages)
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        // Without a runtime the program is at its end, and the leases run out.
        if let Ok(runtime) = Handle::try_current()
            && !self.messages.is_empty()
        {
            let (client, group_id) = (self.client.clone(), self.group_id);
            let back = not_begun(&self.messages);
            runtime.spawn(async move {
                if let Err(error) = client.settle(group_id, back).await {
                    tracing::warn!(%error, "what a dropped claim brought waits for the end of its lease");
                }
            });
        }
    }
}

/// All of what was claimed goes back, no attempt spent. Of a lane its first message says so.
fn not_begun(messages: &[Claimed]) -> Settlement {
    let claims = messages
        .iter()
        .filter_map(|message| Some((message.claim_hi?, message.token)));
    let mut lanes = BTreeSet::new();
    let first = |message: &&Claimed| message.lane.is_none_or(|lane| lanes.insert(lane));
    let items = messages.iter().filter(first).map(|message| Item {
        offset: message.offset,
        token: message.token,
        lane: message.lane,
        outcome: Outcome::Release,
    });
    Settlement {
        claims: claims.collect::<BTreeSet<_>>().into_iter().collect(),
        items: items.collect(),
    }
}
