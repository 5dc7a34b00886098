use std::time::Duration;

use proc_macro2::TokenStream;
use syn::{Path, parse_quote};
use vulkan_names::{
    Backoff, Breaker, HANDLER_KEYS, MAX_RETRIES, Rate, Start, Subject, check_name, check_pattern,
};

use crate::ctxt::Ctxt;
use crate::entry::Entries;
use crate::value;

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
    pub(super) max_in_flight: Option<u32>,
    pub(super) max_in_flight_per_prefix: Option<u32>,
    pub(super) prefix_delimiter: Option<String>,
    pub(super) rate: Option<Rate>,
    pub(super) burst: Option<u32>,
    pub(super) breaker: Option<Breaker>,
    pub(super) start: Option<Start>,
    pub(super) name: Option<String>,
    pub(super) vulkan: Path,
}

impl Attr {
    pub(super) fn read(cx: &Ctxt, tokens: TokenStream) -> Self {
        let entries = Entries::read(cx, HANDLER_KEYS, tokens);
        entries.require(cx, "handler", HANDLER_KEYS, &["stream", "group"]);
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
            max_in_flight: None,
            max_in_flight_per_prefix: None,
            prefix_delimiter: None,
            rate: None,
            burst: None,
            breaker: None,
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
                "max_in_flight" => attr.max_in_flight = value::integer(cx, entry, 1..=u32::MAX),
                "max_in_flight_per_prefix" => {
                    attr.max_in_flight_per_prefix = value::integer(cx, entry, 1..=u32::MAX);
                }
                "prefix_delimiter" => {
                    attr.prefix_delimiter =
                        value::text(cx, entry, |text| match text.chars().count() {
                            1..=16 => Ok(text.to_owned()),
                            _ => Err("`prefix_delimiter` has 1 to 16 characters"),
                        });
                }
                "rate" => attr.rate = value::text(cx, entry, str::parse),
                "burst" => attr.burst = value::integer(cx, entry, 1..=u32::MAX),
                "breaker" => attr.breaker = value::text(cx, entry, str::parse),
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
        if let Some(burst) = entries.list.iter().find(|entry| entry.key.name == "burst")
            && !entries.list.iter().any(|entry| entry.key.name == "rate")
        {
            cx.error(burst.value_or_key(), "`burst` does nothing without `rate`");
        }
        attr
    }
}
