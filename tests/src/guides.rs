// A line for each file of `docs/guides`. An example runs against a database of its own, which its hidden
// lines make: `# let database = vulkan_devpg::shared().await.create_database().await?;`.

#[doc = include_str!("../../docs/guides/README.md")]
mod index {}

#[doc = include_str!("../../docs/guides/events-and-middleware.md")]
mod events_and_middleware {}

#[doc = include_str!("../../docs/guides/priorities.md")]
mod priorities {}

#[doc = include_str!("../../docs/guides/limits.md")]
mod limits {}

#[doc = include_str!("../../docs/guides/fairness.md")]
mod fairness {}

#[doc = include_str!("../../docs/guides/publishing.md")]
mod publishing {}

#[doc = include_str!("../../docs/guides/schedules.md")]
mod schedules {}

#[doc = include_str!("../../docs/guides/queue.md")]
mod queue {}

#[doc = include_str!("../../docs/guides/testing.md")]
mod testing {}

#[doc = include_str!("../../docs/guides/exactly-once.md")]
mod exactly_once {}

#[doc = include_str!("../../docs/guides/handlers.md")]
mod handlers {}

#[doc = include_str!("../../docs/guides/options.md")]
mod options {}

#[doc = include_str!("../../docs/guides/results.md")]
mod results {}

#[doc = include_str!("../../docs/guides/deploys.md")]
mod deploys {}

#[doc = include_str!("../../docs/guides/operating.md")]
mod operating {}

#[doc = include_str!("../../docs/guides/security.md")]
mod security {}
