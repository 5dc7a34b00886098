//! What is called where traces could be: nothing, without the feature `telemetry`.

use crate::client::Client;
use crate::error::Error;
use crate::publish::Message;

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
