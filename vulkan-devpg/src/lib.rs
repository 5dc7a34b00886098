//! A private Postgres with nothing to set up.
//!
//! Where `DATABASE_URL` is not set, examples, tests and benchmarks run on a
//! throw-away cluster: [`Postgres::start`] finds PostgreSQL 14 or newer on the
//! machine, or fetches it, and starts a server on a Unix socket. [`shared`]
//! is one such server for all the tests of a process, each of which takes a
//! [`TestDatabase`] of its own.
//!
//! ```
//! use sqlx::PgPool;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let postgres = vulkan_devpg::Postgres::start().await?;
//! let database = postgres.create_database().await?;
//!
//! let pool = PgPool::connect(&database.url()).await?;
//! let answer: i32 = sqlx::query_scalar("select 42").fetch_one(&pool).await?;
//! assert_eq!(answer, 42);
//! # Ok(())
//! # }
//! ```
//!
//! # Nothing is left behind
//!
//! A private cluster is one directory, under the guard of a small process of
//! its own. That process stops the server and removes the directory as soon as
//! the value is dropped or the process that holds it is gone, and it learns of that
//! from the kernel: neither a panic nor ctrl-c nor SIGKILL gets past it. What
//! a power cut leaves is removed by the next start.
//!
//! A database on the server of `DATABASE_URL` is dropped with its value. One
//! that a killed process has left there is dropped by a later start, once it is a day old.
//!
//! # As root
//!
//! PostgreSQL refuses to run as root, so in a container the server runs as the
//! user `postgres`, or `nobody`.
//!
//! # Features
//!
//! | Feature | Default | What for |
//! |---|---|---|
//! | `fetch` | yes | Downloads PostgreSQL where the machine has none, with the crate `postgresql_embedded` |

mod account;
mod address;
mod blocking;
mod cluster;
mod connect;
mod database;
mod directory;
mod discover;
#[cfg(feature = "fetch")]
mod download;
mod error;
mod fetch;
mod leftovers;
mod locate;
mod postgres;
mod settings;
mod shared;
mod sweep;
mod version;
mod watchdog;

pub use database::TestDatabase;
pub use error::Error;
pub use postgres::Postgres;
pub use settings::FAST;
pub use shared::shared;
