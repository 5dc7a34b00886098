//! Names, kinds, patterns and durations: any text is one or is not, and what is one is within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vulkan_names::{
    Backoff, Breaker, KindPattern, MAX_DURATION, MAX_KIND_LEN, MAX_NAME_LEN, Rate, Start, Subject,
    check_kind, check_name, check_pattern, parse_duration, pattern_covers, pattern_matches,
};

fuzz_target!(|text: &str| {
    let (one, other) = text.split_once('\n').unwrap_or((text, ""));
    for subject in [Subject::Stream, Subject::Group] {
        match check_name(subject, one) {
            Ok(()) => assert!(
                !one.is_empty()
                    && one.len() <= MAX_NAME_LEN
                    && one.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            ),
            Err(error) => assert!(error.to_string().len() < 8 * one.len() + 500),
        }
    }
    if check_kind(one).is_ok() {
        assert!(one.len() <= MAX_KIND_LEN);
        assert!(pattern_matches(">", one));
        // A kind is a pattern that matches itself.
        assert!(check_pattern(one).is_ok() && pattern_matches(one, one));
    }
    if let (Ok(pattern), Ok(())) = (one.parse::<KindPattern>(), check_kind(other)) {
        assert_eq!(pattern.matches(other), pattern_matches(one, other));
    }
    if check_pattern(one).is_ok() && check_pattern(other).is_ok() {
        assert!(pattern_covers(one, one) && pattern_covers(">", other));
        // What covers a pattern matches what that matches: here, a kind that is one itself.
        if pattern_covers(one, other) && check_kind(other).is_ok() {
            assert!(pattern_matches(one, other));
        }
    }
    if let Ok(duration) = parse_duration(one) {
        assert!(duration <= MAX_DURATION);
    }
    if let Ok(backoff) = one.parse::<Backoff>() {
        assert!(backoff.initial <= backoff.max && !backoff.initial.is_zero());
        assert!(backoff.delay_after(u32::MAX) <= backoff.max);
    }
    if let Ok(breaker) = one.parse::<Breaker>() {
        assert!(breaker.check().is_ok());
    }
    if let Ok(rate) = one.parse::<Rate>() {
        assert!(rate.per_second().is_finite());
    }
    let _ = one.parse::<Start>();
});
