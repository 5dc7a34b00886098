//! Events, and rules that match some of them.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::support::Publish;

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) key: Option<String>,
    pub(super) delayed: bool,
    kind: &'static str,
    in_eu: bool,
}

impl Event {
    pub(super) fn random(rng: &mut StdRng) -> Self {
        let key = rng.random_bool(0.6);
        Self {
            key: key.then(|| format!("k{}", rng.random_range(0..4))),
            delayed: rng.random_bool(0.15),
            kind: if rng.random() { "a.x" } else { "b.x" },
            in_eu: rng.random(),
        }
    }

    pub(super) fn publish(&self) -> Publish {
        let mut publish = Publish::new(self.kind);
        if let Some(key) = &self.key {
            publish = publish.key(key);
        }
        if self.delayed {
            publish = publish.delayed(86_400.0);
        }
        if self.in_eu {
            publish = publish.headers(json!({"region": "eu", "n": 1}));
        }
        publish
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Rules {
    All,
    KindA,
    InEu,
}

impl Rules {
    pub(super) fn random(rng: &mut StdRng) -> Self {
        match rng.random_range(0..3) {
            0 => Self::All,
            1 => Self::KindA,
            _ => Self::InEu,
        }
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
            Self::KindA => event.kind == "a.x",
            Self::InEu => event.in_eu,
        }
    }
}
