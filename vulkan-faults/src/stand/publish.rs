//! Publishing by the run itself, straight to the server, with each event noted before and after.

use sqlx::PgConnection;
use vulkan::{Client, Error, Message};

use super::Stand;
use crate::Result;
use crate::child::{Deed, Job, STREAM};
use crate::ledger::Entry;

/// An event to publish.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event {
    pub(crate) deed: Deed,
    pub(crate) key: Option<String>,
    pub(crate) pad: String,
}

impl Event {
    pub(crate) fn keyed(key: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            ..Self::default()
        }
    }
}

impl Stand {
    /// Notes that an event is about to be published.
    fn invoke(&mut self, event: Event) -> Result<(u64, Message)> {
        let Event { deed, key, pad } = event;
        let id = self.ids;
        self.ids += 1;
        let kind = match key {
            Some(_) => "keyed.made",
            None => "plain.made",
        };
        let mut message = Message::new(STREAM, kind, &Job { id, deed, pad })?;
        if let Some(key) = &key {
            message = message.key(key.clone());
        }
        let dedup = false;
        self.note(Entry::Invoke { id, key, dedup });
        Ok((id, message))
    }

    /// Publishes one message. Returns its offset.
    pub(crate) async fn publish(&mut self, deed: Deed, key: Option<&str>) -> Result<i64> {
        let key = key.map(str::to_owned);
        let event = Event {
            deed,
            key,
            ..Event::default()
        };
        self.publish_event(event).await?.map_err(Into::into)
    }

    /// Publishes one event. Returns its offset, or why it was refused.
    pub(crate) async fn publish_event(&mut self, event: Event) -> Result<Result<i64, Error>> {
        let (id, message) = self.invoke(event)?;
        let published = Client::new(self.pool().clone()).publish(message).await;
        match &published {
            Ok(offset) => {
                let offset = *offset;
                self.note(Entry::Ok { id, offset });
            }
            Err(Error::Invalid(_) | Error::Name(_)) => self.note(Entry::Fail { id }),
            Err(error) => {
                let why = error.to_string();
                self.note(Entry::Info { id, why });
            }
        }
        Ok(published)
    }

    /// Publishes many, some in each statement. Returns their offsets.
    pub(crate) async fn publish_all(
        &mut self,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Vec<i64>> {
        const BATCH: usize = 500;
        let client = Client::new(self.pool().clone());
        let (mut events, mut all) = (events.into_iter().peekable(), Vec::new());
        while events.peek().is_some() {
            let batch: Result<Vec<_>> = events
                .by_ref()
                .take(BATCH)
                .map(|event| self.invoke(event))
                .collect();
            let (ids, messages): (Vec<u64>, Vec<Message>) = batch?.into_iter().unzip();
            let offsets = client.publish_many(messages).await?;
            for (id, offset) in ids.into_iter().zip(offsets) {
                self.note(Entry::Ok { id, offset });
                all.push(offset);
            }
        }
        Ok(all)
    }

    /// Publishes one message in a transaction that goes on. Returns its id and its offset, which the caller notes when it
    /// has committed.
    pub(crate) async fn publish_in(&mut self, tx: &mut PgConnection) -> Result<(u64, i64)> {
        let (id, message) = self.invoke(Event::default())?;
        let client = Client::new(self.pool().clone());
        Ok((id, client.publish_in(tx, message).await?))
    }
}
