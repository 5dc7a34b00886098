use std::time::Duration;

use proc_macro2::TokenStream;
use syn::{Path, parse_quote};
use vulkan_names::{Backoff, MAX_RETRIES, Start, Subject, check_name, check_pattern};

use crate::ctxt::Ctxt;
use crate::entry::{Entries, Key};
use crate::value;

const KEYS: &[Key] = &[
    Key::new("stream", r#""orders""#),
    Key::new("group", r#""fraud""#),
    Key::new("kinds", r#"["order.placed", "order.*.paid"]"#),
    Key::new("retries", "5"),
    Key::new("backoff", r#""2s..5m""#),
    Key::new("timeout", r#""30s""#),
    Key::new("lease", r#""30s""#),
    Key::new("concurrency", "8"),
    Key::new("batch", "100"),
    Key::new("priority", "10"),
    Key::new("weight", "4"),
    Key::new("start", r#""latest""#),
    Key::new("name", r#""screen""#),
    Key::new("crate", "::vulkan"),
];

/// The keys as they were written. What is wrong or absent is `None`.
pub(super) struct Attr {
    pub(super) stream: Option<String>,
    pub(super) group: Option<String>,
    pub(super) kinds: Option<Vec<String>>,
    pub(super) retries: Option<u32>,
    pub(super) backoff: Option<Backoff>,
    pub(super) timeout: Option<Duration>,
    pub(super) lease: Option<Duration>,
    pub(super) concurrency: Option<u32>,
    pub(super) batch: Option<u32>,
    /// Whether it takes batches, even if what stands there as their size is wrong.
    pub(super) in_batches: bool,
    pub(super) priority: Option<i32>,
    pub(super) weight: Option<u32>,
    pub(super) start: Option<Start>,
    pub(super) name: Option<String>,
    pub(super) vulkan: Path,
}

impl Attr {
    pub(super) fn read(cx: &Ctxt, tokens: TokenStream) -> Self {
        let entries = Entries::read(cx, KEYS, tokens);
        entries.require(cx, "handler", KEYS, &["stream", "group"]);
        let mut attr = Self {
            stream: None,
            group: None,
            kinds: None,
            retries: None,
            backoff: None,
            timeout: None,
            lease: None,
            concurrency: None,
            batch: None,
            in_batches: false,
            priority: None,
            weight: None,
            start: None,
            name: None,
            vulkan: parse_quote!(::vulkan),
        };
        for entry in &entries.list {
            let name = |subject| {
                value::text(cx, entry, |text| {
                    check_name(subject, text).map(|()| text.to_owned())
                })
            };
            match entry.key.name {
                "stream" => attr.stream = name(Subject::Stream),
                "group" => attr.group = name(Subject::Group),
                "name" => attr.name = name(Subject::Handler),
                "kinds" => attr.kinds = value::texts(cx, entry, check_pattern),
                "retries" => attr.retries = value::integer(cx, entry, 0..=MAX_RETRIES),
                "concurrency" => attr.concurrency = value::integer(cx, entry, 1..=u32::MAX),
                "batch" => {
                    attr.in_batches = true;
                    attr.batch = value::integer(cx, entry, 1..=u32::MAX);
                }
                "priority" => attr.priority = value::integer(cx, entry, i32::MIN..=i32::MAX),
                "weight" => attr.weight = value::integer(cx, entry, 1..=u32::MAX),
                "timeout" => attr.timeout = value::duration(cx, entry),
                "lease" => attr.lease = value::duration(cx, entry),
                "start" => attr.start = value::text(cx, entry, str::parse),
                "backoff" => {
                    attr.backoff = value::text(cx, entry, |text| {
                        text.parse()
                            .map_err(|error| format!("{error} (for example `{}`)", entry.example()))
                    });
                }
                "crate" => attr.vulkan = value::path(cx, entry).unwrap_or(attr.vulkan),
                key => unreachable!("`{key}` is in the list of keys and not read"),
            }
        }
        attr
    }
}
