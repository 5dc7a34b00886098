use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;
use vulkan_core::Error;
use vulkan_core::engine::Declared;

use super::Worker;
use crate::runtime::elsewhere::Elsewhere;
use crate::runtime::events::{DatabaseCall, WorkerEvent};
use crate::runtime::failures::Failures;
use crate::runtime::group::{Group, Options};
use crate::runtime::ledger::Ledger;
use crate::runtime::patience::Patience;
use crate::runtime::registry::Served;
use crate::runtime::trace::Traces;

impl<S: Send + Sync + 'static> Worker<S> {
    /// Makes the streams and groups that do not exist, and reads how they stand.
    pub(super) async fn set_up(&self) -> Result<Vec<Arc<Group<S>>>, Error> {
        let mut patience = Patience::new();
        loop {
            match self.try_set_up().await {
                Err(error) if error.is_transient() => {
                    self.listeners.tell(&WorkerEvent::Trouble {
                        call: DatabaseCall::Start,
                        group: None,
                        error: Some(&error),
                    });
                    tokio::time::sleep(patience.delay()).await;
                }
                answer => {
                    self.ask_doctor().await;
                    return answer;
                }
            }
        }
    }

    /// A question in passing: should it fail, others will tell.
    async fn ask_doctor(&self) {
        for diagnosis in &self.client.doctor().await.unwrap_or_default() {
            self.listeners.tell(&WorkerEvent::Diagnosed { diagnosis });
        }
    }

    async fn try_set_up(&self) -> Result<Vec<Arc<Group<S>>>, Error> {
        self.client.check_schema().await?;
        let mut groups = Vec::new();
        let mut classes = 0..;
        for served in &self.groups {
            self.client.create_stream(&served.stream).await?;
            let declared = self
                .client
                .declare_group(
                    &served.stream,
                    &served.group,
                    served.options(),
                    self.settings.version.as_deref(),
                    &self.settings.name,
                )
                .await?;
            self.tell_differences(served, &declared);
            let id = declared.group_id;
            let standing = self.client.standing(id).await?;
            groups.push(Arc::new(Group {
                id,
                stream_id: standing.stream_id,
                stream: served.stream.as_str().into(),
                name: served.group.as_str().into(),
                options: Options::new(&standing),
                handlers: served
                    .handlers
                    .iter()
                    .zip(&mut classes)
                    .map(|(one, class)| self.assign(served, one, class))
                    .collect(),
                ledger: Ledger::new(served.handlers.len()),
                listeners: self.listeners.clone(),
                failures: Failures::default(),
                traces: Traces::new(
                    &self.client,
                    &self.settings.name,
                    &served.stream,
                    &served.group,
                ),
                elsewhere: Elsewhere::new(&self.client, &self.settings.name, id),
                late: false.into(),
                limited: Arc::new(standing.limited.into()),
                wake: Arc::new(Notify::new()),
            }));
        }
        for schedule in &self.schedules {
            if let Some(stream) = schedule.stream() {
                self.client.create_stream(stream).await?;
            }
            self.client.put_schedule(schedule).await?;
        }
        if groups
            .iter()
            .any(|group| group.limited.load(Ordering::Relaxed))
        {
            // A lost lease counts against a limit only for so long, and perhaps nobody was there to give it back.
            self.client.reap(None).await?;
        }
        Ok(groups)
    }

    /// Tells which options of a group stand otherwise than declared here: it is served with the group's.
    fn tell_differences(&self, served: &Served<S>, declared: &Declared) {
        let differences: Vec<String> = declared
            .differences
            .iter()
            .map(|(option, difference)| format!("{option}: {difference}"))
            .collect();
        if !differences.is_empty() {
            self.listeners.tell(&WorkerEvent::OptionsDiffer {
                stream: &served.stream,
                group: &served.group,
                standing_version: declared.standing_version.as_deref().unwrap_or_default(),
                differences: &differences.join("; "),
            });
        }
    }
}
