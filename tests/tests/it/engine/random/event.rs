//! Events, and rules that match some of them.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clock;
use crate::support::Publish;

/// What is published: the parts that a group goes by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) key: Option<u8>,
    /// So many spans of the clock away, if it is delayed.
    pub(super) delay: Option<u8>,
    pub(super) b: bool,
    pub(super) eu: bool,
}

impl Event {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let key = prop::option::weighted(0.6, 0..4_u8);
        let delay = prop::option::weighted(0.15, 0..3_u8);
        (key, delay, any::<bool>(), any::<bool>()).prop_map(|(key, delay, b, eu)| Self {
            key,
            delay,
            b,
            eu,
        })
    }

    pub(super) fn key(&self) -> Option<String> {
        self.key.map(|key| format!("k{key}"))
    }

    pub(super) fn kind(&self) -> &'static str {
        if self.b { "b.x" } else { "a.x" }
    }

    pub(super) fn headers(&self) -> Option<Value> {
        self.eu.then(|| json!({"region": "eu", "n": 1}))
    }

    /// By how many seconds it is delayed.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.delay.map(|delay| clock::after(delay) as f64)
    }

    pub(super) fn publish(&self) -> Publish {
        let mut publish = Publish::new(self.kind());
        if let Some(key) = self.key() {
            publish = publish.key(&key);
        }
        if let Some(seconds) = self.seconds() {
            publish = publish.delayed(seconds);
        }
        if let Some(headers) = self.headers() {
            publish = publish.headers(headers);
        }
        publish
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Rules {
    All,
    KindA,
    InEu,
}

impl Rules {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        prop_oneof![Just(Self::All), Just(Self::KindA), Just(Self::InEu)]
    }

    pub(super) fn json(self) -> Value {
        match self {
            Self::All => json!([{"kind": ">"}]),
            Self::KindA => json!([{"kind": "nothing.of.it"}, {"kind": "a.*"}]),
            Self::InEu => json!([{"kind": "*.x", "headers": {"region": "eu"}}]),
        }
    }

    pub(super) fn matches(self, event: &Event) -> bool {
        match self {
            Self::All => true,
            Self::KindA => !event.b,
            Self::InEu => event.eu,
        }
    }
}
