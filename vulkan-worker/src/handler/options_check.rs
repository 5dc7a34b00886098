use std::time::Duration;

use vulkan_names::{
    Backoff, BreakerError, MAX_RETRIES, NameError, Subject, check_name, check_pattern,
};

use super::HandlerOptions;

/// A mistake in [`HandlerOptions`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// A name or a pattern breaks its rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// What must have a value has none.
    #[error("{field} is empty")]
    Empty {
        /// The field of [`HandlerOptions`].
        field: &'static str,
    },
    /// What must be positive is zero.
    #[error("{field} is zero")]
    Zero {
        /// The field of [`HandlerOptions`].
        field: &'static str,
    },
    /// A lease that no worker can keep.
    #[error(
        "lease {lease:?} is shorter than {:?}; it bounds how late a crash is noticed, not how long a handler may take",
        HandlerOptions::MIN_LEASE
    )]
    ShortLease {
        /// The lease asked for.
        lease: Duration,
    },
    /// More retries than anybody means.
    #[error("{retries} retries are more than {MAX_RETRIES}")]
    TooManyRetries {
        /// The retries asked for.
        retries: u32,
    },
    /// The first wait is longer than the longest.
    #[error(
        "backoff begins with {:?}, which is longer than its maximum {:?}",
        backoff.initial,
        backoff.max
    )]
    BackoffReversed {
        /// The backoff asked for.
        backoff: Backoff,
    },
    /// A breaker with a number or a time out of its range.
    #[error(transparent)]
    Breaker(#[from] BreakerError),
    /// A delimiter nobody could split at.
    #[error("prefix_delimiter has {length} characters, and must have 1 to 16")]
    Delimiter {
        /// How many it has.
        length: usize,
    },
    /// An option that does nothing without another.
    #[error("{field} does nothing without {needs}")]
    Without {
        /// The field of [`HandlerOptions`].
        field: &'static str,
        /// The field it needs.
        needs: &'static str,
    },
}

impl HandlerOptions {
    /// Checks what `#[handler]` checks while it compiles, save that a name may be any text but none.
    ///
    /// # Errors
    ///
    /// Every mistake there is.
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan_worker::HandlerOptions;
    ///
    /// let errors = HandlerOptions::new("Orders", "").concurrency(0).check().unwrap_err();
    /// let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    /// assert_eq!(errors[1..], ["group name is empty", "name is empty", "concurrency is zero"]);
    /// ```
    pub fn check(&self) -> Result<(), Vec<OptionsError>> {
        let mut errors = Vec::new();
        let names = [
            check_name(Subject::Stream, &self.stream),
            check_name(Subject::Group, &self.group),
        ];
        let patterns = self.kinds.iter().map(|pattern| check_pattern(pattern));
        let texts = names.into_iter().chain(patterns).filter_map(Result::err);
        errors.extend(texts.map(OptionsError::Name));

        // The name of a function may have capitals, and names nothing in the database.
        if self.name.is_empty() {
            errors.push(OptionsError::Empty { field: "name" });
        }
        if let Some(retries) = self.retries.filter(|&retries| retries > MAX_RETRIES) {
            errors.push(OptionsError::TooManyRetries { retries });
        }
        if let Some(backoff) = self.backoff.filter(|backoff| backoff.initial > backoff.max) {
            errors.push(OptionsError::BackoffReversed { backoff });
        }
        if let Some(error) = self.breaker.and_then(|breaker| breaker.check().err()) {
            errors.push(OptionsError::Breaker(error));
        }
        let delimiter = self.prefix_delimiter.as_ref();
        if let Some(length) = delimiter
            .map(|text| text.chars().count())
            .filter(|length| !(1..=16).contains(length))
        {
            errors.push(OptionsError::Delimiter { length });
        }
        if self.burst.is_some() && self.rate.is_none() {
            errors.push(OptionsError::Without {
                field: "burst",
                needs: "rate",
            });
        }
        let short = |lease: &Duration| !lease.is_zero() && *lease < Self::MIN_LEASE;
        if let Some(lease) = self.lease.filter(short) {
            errors.push(OptionsError::ShortLease { lease });
        }
        let initial = self.backoff.map(|backoff| backoff.initial);
        let no_rate = |rate: vulkan_names::Rate| rate.attempts == 0 || rate.per.is_zero();
        let zeros = [
            ("backoff", initial == Some(Duration::ZERO)),
            ("timeout", self.timeout == Some(Duration::ZERO)),
            ("lease", self.lease == Some(Duration::ZERO)),
            ("concurrency", self.concurrency == Some(0)),
            ("batch", self.batch == Some(0)),
            ("weight", self.weight == Some(0)),
            ("max_in_flight", self.max_in_flight == Some(0)),
            (
                "max_in_flight_per_prefix",
                self.max_in_flight_per_prefix == Some(0),
            ),
            ("rate", self.rate.is_some_and(no_rate)),
            ("burst", self.burst == Some(0)),
        ];
        let zeros = zeros.into_iter().filter(|(_, is_zero)| *is_zero);
        errors.extend(zeros.map(|(field, _)| OptionsError::Zero { field }));

        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use vulkan_names::Breaker;

    use super::*;

    #[test]
    fn reports_every_mistake() {
        let reversed = Backoff::new(Duration::from_secs(2), Duration::from_secs(1));
        let options = HandlerOptions::new("", "Fraud")
            .kinds(["order.>", "order.pa*"])
            .retries(1001)
            .backoff(reversed)
            .timeout(Duration::ZERO)
            .lease(Duration::ZERO)
            .max_in_flight(0)
            .max_in_flight_per_prefix(0)
            .prefix_delimiter("")
            .burst(0)
            .breaker(Breaker {
                probes: 0,
                ..Breaker::DEFAULT
            });
        let errors = options.check().unwrap_err();
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let beginnings = [
            "stream name is empty",
            "group name \"Fraud\" contains",
            "kind pattern \"order.pa*\" mixes",
            "1001 retries are more than 1000",
            "backoff begins with 2s, which is longer than its maximum 1s",
            "breaker: the number of probes is zero",
            "prefix_delimiter has 0 characters",
            "burst does nothing without rate",
            "timeout is zero",
            "lease is zero",
            "max_in_flight is zero",
            "max_in_flight_per_prefix is zero",
            "burst is zero",
        ];
        assert_eq!(errors.len(), beginnings.len(), "{errors:?}");
        for (error, beginning) in errors.iter().zip(beginnings) {
            assert!(error.starts_with(beginning), "{error}");
        }
    }

    #[test]
    fn attempts_are_one_more_than_retries() {
        let options = HandlerOptions::new("orders", "fraud");
        assert_eq!(options.max_attempts(), 6);
        assert_eq!(options.clone().retries(0).max_attempts(), 1);
        assert_eq!(options.retries(u32::MAX).max_attempts(), u32::MAX);
    }
}
