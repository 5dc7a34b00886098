//! What the tests share.

mod database;
mod group;
mod message;
mod publish;
mod settlement;

pub(crate) use database::TestDb;
pub(crate) use group::Group;
pub(crate) use message::{Message, offsets};
pub(crate) use publish::Publish;
pub(crate) use settlement::{Settlement, Verdict};
pub(crate) use vulkan_testing::within;
