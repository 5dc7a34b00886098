use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;
use vulkan_names::{HANDLER_KEYS, MAX_RETRIES, Subject, check_name, check_pattern, parse_duration};

use crate::handler::HandlerOptions;

/// Sets one option by the name of its key, by the rules of the attribute.
///
/// The error says what is wrong with the value. A key that is none of [`HANDLER_KEYS`] is the caller's to find.
pub(super) fn set(options: &mut HandlerOptions, key: &str, value: &Value) -> Result<(), String> {
    let with_example = |problem: String| match HANDLER_KEYS.iter().find(|known| known.name == key) {
        Some(known) => format!("{problem}, as in {key} = {}", known.example),
        None => problem,
    };
    try_set(options, key, value).map_err(with_example)
}

fn try_set(options: &mut HandlerOptions, key: &str, value: &Value) -> Result<(), String> {
    match key {
        "stream" => options.stream = name(value, Subject::Stream)?.into(),
        "group" => options.group = name(value, Subject::Group)?.into(),
        "kinds" => options.kinds = patterns(value)?.into_iter().map(Into::into).collect(),
        "retries" => options.retries = Some(integer(value, 0..=MAX_RETRIES)?),
        "backoff" => options.backoff = Some(text(value)?.parse().map_err(told)?),
        "timeout" => options.timeout = Some(duration(value)?),
        "lease" => options.lease = Some(duration(value)?),
        "concurrency" => options.concurrency = Some(count(value)?),
        "batch" => options.batch = Some(count(value)?),
        "priority" => options.priority = Some(integer(value, i32::MIN..=i32::MAX)?),
        "weight" => options.weight = Some(integer(value, 1..=u32::MAX)?),
        "max_in_flight" => options.max_in_flight = Some(integer(value, 1..=u32::MAX)?),
        "max_in_flight_per_prefix" => {
            options.max_in_flight_per_prefix = Some(integer(value, 1..=u32::MAX)?);
        }
        // Its length is checked with all other options.
        "prefix_delimiter" => options.prefix_delimiter = Some(text(value)?.to_owned().into()),
        "rate" => options.rate = Some(text(value)?.parse().map_err(told)?),
        "burst" => options.burst = Some(integer(value, 1..=u32::MAX)?),
        "breaker" => options.breaker = Some(text(value)?.parse().map_err(told)?),
        "start" => options.start = Some(text(value)?.parse().map_err(told)?),
        // By this the handler is found, and it is known when the program is compiled.
        _ => return Err("it cannot be decided at run time".into()),
    }
    Ok(())
}

fn told(error: impl Display) -> String {
    error.to_string()
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "it is no text".into())
}

fn name(value: &Value, subject: Subject) -> Result<String, String> {
    let name = text(value)?;
    check_name(subject, name).map_err(told)?;
    Ok(name.to_owned())
}

/// A list, or one text in which commas stand between them, as an environment variable has it.
fn patterns(value: &Value) -> Result<Vec<String>, String> {
    let patterns: Vec<&str> = match value {
        Value::Array(values) => values.iter().map(text).collect::<Result<_, _>>()?,
        value => text(value)?.split(',').map(str::trim).collect(),
    };
    if patterns.is_empty() {
        return Err("it is empty".into());
    }
    for pattern in &patterns {
        check_pattern(pattern).map_err(told)?;
    }
    Ok(patterns.into_iter().map(str::to_owned).collect())
}

fn duration(value: &Value) -> Result<Duration, String> {
    match parse_duration(text(value)?).map_err(told)? {
        Duration::ZERO => Err("it is zero".into()),
        duration => Ok(duration),
    }
}

fn count(value: &Value) -> Result<usize, String> {
    let count = integer(value, 1..=u32::MAX)?;
    usize::try_from(count).map_err(told)
}

/// A number, or a text that is one, as an environment variable has it.
fn integer<T>(value: &Value, range: RangeInclusive<T>) -> Result<T, String>
where
    T: Copy + Into<i64> + TryFrom<i64>,
{
    let (start, end): (i64, i64) = ((*range.start()).into(), (*range.end()).into());
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    };
    number
        .filter(|number| (start..=end).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| match end == i64::from(u32::MAX) {
            true => format!("it is no integer of at least {start}"),
            false => format!("it is no integer from {start} to {end}"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> HandlerOptions {
        HandlerOptions::new("s", "g")
    }

    /// Fails when a key of the attribute was forgotten here.
    #[test]
    fn every_key_takes_its_example() {
        for key in HANDLER_KEYS {
            let fixed = ["name", "crate"].contains(&key.name);
            let example = serde_json::from_str(key.example);
            let example = example.unwrap_or_else(|_| Value::String(key.example.into()));
            let mut changed = options();
            let set = set(&mut changed, key.name, &example);
            assert_eq!(set.is_err(), fixed, "{}: {set:?}", key.name);
            assert_eq!(changed == options(), fixed, "{}", key.name);
            // In the environment everything is a text.
            let bare = key.example.trim_matches('"');
            if key.name != "kinds" {
                let mut same = options();
                let _ = super::set(&mut same, key.name, &Value::String(bare.into()));
                assert_eq!(same, changed, "{}", key.name);
            }
        }
    }

    #[test]
    fn a_value_that_does_not_fit_says_why() {
        let table = [
            (
                "retries",
                Value::from(1001),
                "no integer from 0 to 1000, as in retries = 5",
            ),
            ("retries", Value::from(1.5), "no integer"),
            ("concurrency", Value::from("0"), "no integer of at least 1"),
            ("timeout", Value::from("30"), "lacks a unit"),
            (
                "timeout",
                Value::from(30),
                "no text, as in timeout = \"30s\"",
            ),
            ("lease", Value::from("0s"), "is zero"),
            ("backoff", Value::from("5m..2s"), "longer than its maximum"),
            ("kinds", Value::from("a.b, c*"), "mixes"),
            ("kinds", Value::Array(Vec::new()), "is empty"),
            ("start", Value::from("now"), "unknown start"),
            ("group", Value::from("Fraud"), "group name"),
            (
                "name",
                Value::from("other"),
                "cannot be decided at run time",
            ),
        ];
        for (key, value, says) in table {
            let mut unchanged = options();
            let problem = set(&mut unchanged, key, &value).unwrap_err();
            assert!(problem.contains(says), "{key}: {problem}");
            assert_eq!(unchanged, options());
        }
        let mut changed = options();
        set(&mut changed, "kinds", &Value::from("a.*, b.>")).unwrap();
        assert_eq!(changed.kinds, ["a.*", "b.>"]);
    }
}
