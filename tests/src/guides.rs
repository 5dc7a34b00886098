// A line for each file of `docs/guides`. An example runs against a database of its own, which its hidden
// lines make: `# let database = vulkan_devpg::shared().await.create_database().await?;`.

#[doc = include_str!("../../docs/guides/README.md")]
mod index {}

#[doc = include_str!("../../docs/guides/priorities.md")]
mod priorities {}
