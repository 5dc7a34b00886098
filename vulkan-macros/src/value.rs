use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use proc_macro2::TokenStream;
use syn::parse::Parser;
use syn::{LitInt, LitStr, Path};
use vulkan_names::parse_duration;

use crate::ctxt::Ctxt;
use crate::entry::{Entry, elements};

/// A string literal that passes `check`.
pub(crate) fn text<T, E: Display>(
    cx: &Ctxt,
    entry: &Entry,
    check: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let literal = literal(cx, entry, entry.value.clone(), "a string literal")?;
    match check(&literal.value()) {
        Ok(value) => Some(value),
        Err(error) => {
            cx.error(literal, error);
            None
        }
    }
}

/// One string literal, or an array of them, of which each passes `check`.
pub(crate) fn texts<E: Display>(
    cx: &Ctxt,
    entry: &Entry,
    check: impl Fn(&str) -> Result<(), E>,
) -> Option<Vec<String>> {
    let parts = match entry.value.as_ref().and_then(elements) {
        Some(parts) if parts.is_empty() => {
            let key = entry.key.name;
            let message = format!("`{key}` is empty: leave it out to take everything");
            cx.error(entry.value_or_key(), message);
            return None;
        }
        Some(parts) => parts.into_iter().map(Some).collect(),
        None => vec![entry.value.clone()],
    };
    let mut texts = Vec::new();
    for part in parts {
        let literal = literal(cx, entry, part, "string literals")?;
        let text = literal.value();
        if let Err(error) = check(&text) {
            cx.error(literal, error);
        } else if texts.contains(&text) {
            cx.error(literal, format!("{text:?} is in the list already"));
        } else {
            texts.push(text);
        }
    }
    Some(texts)
}

/// An integer literal within `range`.
pub(crate) fn integer<T>(cx: &Ctxt, entry: &Entry, range: RangeInclusive<T>) -> Option<T>
where
    T: Copy + Into<i64> + TryFrom<i64>,
{
    let value = entry.value.clone().unwrap_or_default();
    let literal = syn::parse2::<LitInt>(value);
    let number = literal.and_then(|literal| literal.base10_parse::<i64>());
    let (start, end): (i64, i64) = ((*range.start()).into(), (*range.end()).into());
    match number {
        Ok(number) if (start..=end).contains(&number) => T::try_from(number).ok(),
        _ => {
            let (key, example) = (entry.key.name, entry.example());
            let range = match (start, end) {
                (start, end) if end == u32::MAX.into() => format!(" of at least {start}"),
                (start, _) if start == i32::MIN.into() => String::new(),
                (start, end) => format!(" from {start} to {end}"),
            };
            let message = format!("`{key}` takes an integer{range}, as in `{example}`");
            cx.error(entry.value_or_key(), message);
            None
        }
    }
}

/// A string literal that holds a duration longer than nothing.
pub(crate) fn duration(cx: &Ctxt, entry: &Entry) -> Option<Duration> {
    text(cx, entry, |text| {
        let example = entry.example();
        match parse_duration(text) {
            Ok(Duration::ZERO) => Err(format!("`{}` is zero", entry.key.name)),
            Ok(duration) => Ok(duration),
            Err(error) => Err(format!("{error} (for example `{example}`)")),
        }
    })
}

/// A path without generic arguments.
pub(crate) fn path(cx: &Ctxt, entry: &Entry) -> Option<Path> {
    let value = entry.value.clone().unwrap_or_default();
    match Path::parse_mod_style.parse2(value) {
        Ok(path) => Some(path),
        Err(_) => {
            let (key, example) = (entry.key.name, entry.example());
            let message = format!("`{key}` takes a path, as in `{example}`");
            cx.error(entry.value_or_key(), message);
            None
        }
    }
}

fn literal(cx: &Ctxt, entry: &Entry, value: Option<TokenStream>, wanted: &str) -> Option<LitStr> {
    let value = value.unwrap_or_default();
    match syn::parse2::<LitStr>(value.clone()) {
        Ok(literal) => Some(literal),
        Err(_) => {
            let (key, example) = (entry.key.name, entry.example());
            let message = format!("`{key}` takes {wanted}, as in `{example}`");
            let underlined = if value.is_empty() {
                entry.value_or_key()
            } else {
                value
            };
            cx.error(underlined, message);
            None
        }
    }
}
