use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::Deserialize;
use serde_json::Value;

mod apply;
mod set;

pub(super) use apply::apply;

/// What names the environment variables that [`Overrides::from_env`] reads.
const PREFIX: &str = "VULKAN_HANDLER_";

/// Options of handlers that are decided where the program runs, in place of those it was written with.
///
/// It maps the names of handlers to options, with the names and forms that the keys of `#[handler(..)]` have. It is read
/// from any format that serde knows, from the environment, or put together by hand; several of them are laid
/// one over the other. Every key can be given but `name`, by which the handler is found, and `crate`. A name that nobody has, a
/// key that does not exist and a value that does not fit are [mistakes](crate::Mistake) that
/// [`build`](crate::WorkerBuilder::build) reports with all others.
///
/// # Examples
///
/// ```
/// use vulkan_worker::Overrides;
///
/// let file: Overrides = serde_json::from_str(
///     r#"{
///         "screen": { "retries": 20, "backoff": "1s..1h", "timeout": "30s" },
///         "load": { "batch": 500, "kinds": ["order.placed"] }
///     }"#,
/// )?;
/// let more = Overrides::new().set("screen", "concurrency", 4);
/// # _ = (file, more);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(from = "BTreeMap<String, BTreeMap<String, Value>>")]
pub struct Overrides {
    entries: Vec<Entry>,
}

/// One option of one handler.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    target: Target,
    value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Target {
    /// An option of a handler.
    Option { handler: String, option: String },
    /// What follows the prefix in the name of an environment variable: which part of it names
    /// the handler only the handlers tell.
    Variable(String),
}

impl Overrides {
    /// No overrides yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more: `option` of `handler`, as the key of the attribute is called.
    #[must_use]
    pub fn set(
        mut self,
        handler: impl Into<String>,
        option: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        let target = Target::Option {
            handler: handler.into(),
            option: option.into(),
        };
        let value = value.into();
        self.entries.push(Entry { target, value });
        self
    }

    /// Reads the environment variables `VULKAN_HANDLER_<NAME>_<KEY>`.
    ///
    /// | Handler, key, value | Variable |
    /// |---|---|
    /// | `screen`, `retries = 20` | `VULKAN_HANDLER_SCREEN_RETRIES=20` |
    /// | `send-mail`, `backoff = "1s..1h"` | `VULKAN_HANDLER_SEND_MAIL_BACKOFF=1s..1h` |
    /// | `audit.eu`, `kinds = ["a.*", "b.>"]` | `VULKAN_HANDLER_AUDIT_EU_KINDS=a.*,b.>` |
    ///
    /// Letters are capitals, and what is neither letter nor digit is `_`. Two handlers whose names look the same by that
    /// both get the option.
    pub fn from_env() -> Self {
        Self::from_vars(std::env::vars_os())
    }

    /// As [`from_env`](Self::from_env), from other variables than the process's. What does not begin with `VULKAN_HANDLER_` is
    /// left out.
    pub fn from_vars<K, V>(vars: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let vars = vars.into_iter().filter_map(|(name, value)| {
            let name = name.into();
            let rest = name.to_str()?.strip_prefix(PREFIX)?.to_owned();
            // A value that is no Unicode is none that fits, which is told when it is applied.
            let value = value.into().to_string_lossy().into_owned();
            Some(Entry {
                target: Target::Variable(rest),
                value: Value::String(value),
            })
        });
        let mut entries: Vec<_> = vars.collect();
        // The environment has no order; mistakes are told in one.
        entries.sort_by_cached_key(Entry::place);
        Self { entries }
    }
}

impl Entry {
    /// Where it stands, to those who wrote it.
    fn place(&self) -> String {
        match &self.target {
            Target::Option { handler, option } => format!("{handler}.{option}"),
            Target::Variable(rest) => format!("{PREFIX}{rest}"),
        }
    }
}

impl From<BTreeMap<String, BTreeMap<String, Value>>> for Overrides {
    fn from(handlers: BTreeMap<String, BTreeMap<String, Value>>) -> Self {
        handlers
            .into_iter()
            .flat_map(|(handler, options)| {
                options
                    .into_iter()
                    .map(move |(option, value)| (handler.clone(), option, value))
            })
            .fold(Self::new(), |all, (handler, option, value)| {
                all.set(handler, option, value)
            })
    }
}
