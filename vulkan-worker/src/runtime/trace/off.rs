use vulkan_core::engine::{Claimed, Outcome, Settlement, Verdict};
use vulkan_core::{Client, Error};

use crate::handler::{Batch, Delivery};
use crate::runtime::events::Interruption;

pub(in crate::runtime) struct Traces;

impl Traces {
    pub(in crate::runtime) fn new(_: &Client, _: &str, _: &str, _: &str) -> Self {
        Self
    }

    pub(in crate::runtime) fn claiming(&self) -> Nothing {
        Nothing
    }

    pub(in crate::runtime) fn settling(&self) -> Nothing {
        Nothing
    }

    pub(in crate::runtime) fn processing(&self, _: &Delivery, _: bool) -> Nothing {
        Nothing
    }

    pub(in crate::runtime) fn processing_batch(&self, _: &Batch) -> Nothing {
        Nothing
    }
}

/// A span that is not there.
pub(in crate::runtime) struct Nothing;

impl Nothing {
    pub(in crate::runtime) fn is_written(&self) -> bool {
        false
    }

    pub(in crate::runtime) fn claimed(self, _: &Result<Vec<Claimed>, Error>) {}

    pub(in crate::runtime) fn settled(
        self,
        _: &Settlement,
        _: usize,
        _: &Result<Vec<Verdict>, Error>,
    ) {
    }

    pub(in crate::runtime) async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        call.await
    }

    pub(in crate::runtime) fn processed<'o>(
        self,
        _: impl IntoIterator<Item = (&'o Outcome, Interruption)>,
    ) {
    }
}
