use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use vulkan_core::Error;
use vulkan_core::engine::{Held, MAX_CHECKPOINT_LEN};

use super::decode::without_value;
use super::tx_slot::TxSource;

/// Why a checkpoint was not saved, or not read.
///
/// Left by `?`, it is an error like any other: the message is tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The value cannot be written as JSON.
    #[error("the checkpoint cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// What was saved is no value of this type. A release before this one may have saved it.
    #[error("the checkpoint is no `{target}`: {reason}")]
    Decode {
        /// The type that was asked for.
        target: &'static str,
        /// What does not fit, without what is there.
        reason: String,
    },
    /// It is larger than the limit, a megabyte.
    #[error(
        "the checkpoint has {len} bytes, more than {MAX_CHECKPOINT_LEN}; save a reference to what is large"
    )]
    TooLarge {
        /// Its size.
        len: usize,
    },
    /// The lease is lost: somebody else handles the message, or has.
    #[error("the lease was lost before the checkpoint could be saved")]
    Stale(#[source] Error),
    /// The database did not save or read it.
    #[error("the database did not take or give the checkpoint")]
    Database(#[source] Error),
}

/// Where the checkpoint of a delivery is kept.
#[derive(Debug, Clone)]
pub(crate) enum Checkpoints {
    /// In the database, under the message.
    Saved(Arc<TxSource>, Held),
    /// In the delivery itself, which was made in a test.
    Kept(Arc<Mutex<Option<Box<RawValue>>>>),
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self::Kept(Arc::default())
    }
}

impl Checkpoints {
    pub(crate) async fn save(&self, value: &RawValue) -> Result<(), CheckpointError> {
        let len = value.get().len();
        if len > MAX_CHECKPOINT_LEN {
            return Err(CheckpointError::TooLarge { len });
        }
        match self {
            Self::Saved(source, held) => {
                let saved = source.client().save_checkpoint(*held, value).await;
                saved.map_err(|error| match error {
                    Error::Stale(_) => CheckpointError::Stale(error),
                    error => CheckpointError::Database(error),
                })
            }
            Self::Kept(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                *kept = Some(value.to_owned());
                Ok(())
            }
        }
    }

    pub(super) async fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, CheckpointError> {
        let value = match self {
            Self::Saved(source, held) => source
                .client()
                .checkpoint_of(held.group_id, held.offset)
                .await
                .map_err(CheckpointError::Database)?,
            Self::Kept(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.clone()
            }
        };
        let decode = |value: Box<RawValue>| {
            serde_json::from_str(value.get()).map_err(|error| CheckpointError::Decode {
                target: std::any::type_name::<T>(),
                reason: without_value(&error),
            })
        };
        value.map(decode).transpose()
    }
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Box<RawValue>, CheckpointError> {
    to_raw_value(value).map_err(CheckpointError::Encode)
}
