//! The ledger: what really happened, written outside of Postgres by every process of a run.
//!
//! Each process appends to a file of its own, one line a `write` with `O_APPEND`, before it goes on. A SIGKILL loses
//! at most the line that was being written, and what the database says later cannot change what stands here.

mod entry;
mod pen;
mod tail;

pub(crate) use entry::{Entry, How, Line};
pub(crate) use pen::Pen;
pub(crate) use tail::Tail;
