//! What is called where traces could be: nothing, without the feature `telemetry`.

use crate::client::Client;
use crate::error::Error;
use crate::publish::Message;

/// Of a load.
#[derive(Debug)]
pub(crate) struct Loading;

impl Loading {
    pub(crate) fn begin(_: &Client, _: &str) -> Self {
        Self
    }

    pub(crate) fn take_along(&self, _: &mut Message) {}

    pub(crate) fn end(&self, _: &Result<u64, Error>) {}
}

pub(crate) struct Publishing;

impl Publishing {
    pub(crate) fn one(_: &Client, _: &mut Message) -> Self {
        Self
    }

    pub(crate) fn many(_: &Client, _: &mut [Message]) -> Self {
        Self
    }

    pub(crate) async fn around<T>(
        self,
        call: impl Future<Output = Result<T, Error>>,
        _: impl FnOnce(&T) -> Option<i64>,
    ) -> Result<T, Error> {
        call.await
    }
}
