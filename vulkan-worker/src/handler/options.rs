use std::borrow::Cow;
use std::time::Duration;

use vulkan_core::{Backoff, Breaker, Limit, Limits, Rate, Start};

/// Which deliveries a handler takes, and how they are tried again.
///
/// The keys of `#[handler(..)]` become these fields, with the same names.
/// What is `None` is left to the group.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vulkan_worker::{Backoff, HandlerOptions, Start};
///
/// let short = HandlerOptions::new("orders", "fraud");
/// ```
///
/// is equivalent to
///
/// ```
/// # use std::time::Duration;
/// # use vulkan_worker::{Backoff, HandlerOptions, Start};
/// let long = HandlerOptions::new("orders", "fraud")
///     .name("fraud")
///     .kinds([">"])
///     .retries(5)
///     .backoff(Backoff::new(Duration::from_secs(2), Duration::from_secs(600)))
///     .lease(Duration::from_secs(30))
///     .start(Start::Earliest);
/// assert_eq!(long.check(), Ok(()));
/// ```
///
/// for a group that does not exist yet, and has neither a timeout nor a limit of its own
/// to how many deliveries are handled at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "options do nothing until a worker has them"]
pub struct HandlerOptions {
    /// What logs, `vulkan.workers` and overrides call the handler: the name of the function,
    /// or of the group for a handler written by hand.
    pub name: Cow<'static, str>,
    /// The stream to read.
    pub stream: Cow<'static, str>,
    /// The group, which has one position in the stream and one policy for all its handlers.
    pub group: Cow<'static, str>,
    /// Patterns of the kinds to handle. Without any, every kind of the stream.
    pub kinds: Vec<Cow<'static, str>>,
    /// How many more times a delivery is tried after its first attempt.
    pub retries: Option<u32>,
    /// How long a failed delivery waits before its next attempt.
    pub backoff: Option<Backoff>,
    /// How long one attempt may take before it is dropped and counts as failed.
    pub timeout: Option<Duration>,
    /// How long a delivery stays with a worker that gives no sign of life.
    pub lease: Option<Duration>,
    /// How many deliveries one worker handles at once; of a handler that takes batches, how many batches.
    pub concurrency: Option<usize>,
    /// How many messages a handler that takes batches gets at most at once.
    pub batch: Option<usize>,
    /// Whose deliveries get a free slot of the process first: the higher number. 0 unless set.
    pub priority: Option<i32>,
    /// How large its share of the slots is among handlers of one priority. 1 unless set.
    pub weight: Option<u32>,
    /// How many deliveries of the group are in flight at once, over all workers.
    pub max_in_flight: Option<u32>,
    /// How many deliveries of each key prefix are in flight at once, over all workers.
    pub max_in_flight_per_prefix: Option<u32>,
    /// The prefix of a key is what stands before the first of these. `":"` unless set.
    pub prefix_delimiter: Option<Cow<'static, str>>,
    /// How many attempts of the group begin in a time, over all workers.
    pub rate: Option<Rate>,
    /// How many of them may begin at once after a quiet time. A tenth of a second's worth unless set.
    pub burst: Option<u32>,
    /// When the group rests, because its attempts fail.
    pub breaker: Option<Breaker>,
    /// Where a group that does not exist yet begins.
    pub start: Option<Start>,
}

impl HandlerOptions {
    /// The retries of a group that asks for none: five, so six attempts in all.
    pub const DEFAULT_RETRIES: u32 = 5;
    /// The backoff of a group that asks for none: from two seconds to ten minutes.
    pub const DEFAULT_BACKOFF: Backoff = Backoff::DEFAULT;
    /// The lease of a group that asks for none: thirty seconds.
    pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);
    /// The shortest lease: a tenth of a second. Workers extend their leases three times within one.
    pub const MIN_LEASE: Duration = Duration::from_millis(100);
    /// The start of a group that asks for none: the oldest event there is.
    pub const DEFAULT_START: Start = Start::Earliest;

    /// The most messages in a batch of a handler that takes batches and says no number.
    pub const DEFAULT_BATCH: usize = 100;

    /// Options that leave all but the stream and the group to the defaults.
    ///
    /// The names are checked when the worker is built, see [`check`](Self::check).
    pub fn new(stream: impl Into<Cow<'static, str>>, group: impl Into<Cow<'static, str>>) -> Self {
        let group = group.into();
        Self {
            name: group.clone(),
            stream: stream.into(),
            group,
            kinds: Vec::new(),
            retries: None,
            backoff: None,
            timeout: None,
            lease: None,
            concurrency: None,
            batch: None,
            priority: None,
            weight: None,
            max_in_flight: None,
            max_in_flight_per_prefix: None,
            prefix_delimiter: None,
            rate: None,
            burst: None,
            breaker: None,
            start: None,
        }
    }

    /// Sets what logs, `vulkan.workers` and overrides call the handler.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the patterns of the kinds to handle, in place of those set so far.
    pub fn kinds<K: Into<Cow<'static, str>>>(
        mut self,
        patterns: impl IntoIterator<Item = K>,
    ) -> Self {
        self.kinds = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how many more times a delivery is tried after its first attempt.
    ///
    /// With `retries(5)` a delivery is dead after its sixth attempt, with `retries(0)` after its first.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Sets how long a failed delivery waits before its next attempt.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Sets how long one attempt may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long a delivery stays with a worker that gives no sign of life.
    ///
    /// It bounds how late a delivery is taken over after a crash, not how long a handler may take:
    /// a worker that lives renews its leases.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Sets how many deliveries one worker handles at once.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = Some(concurrency);
        self
    }

    /// Sets whose deliveries get a free slot of the process first: those of the higher number, strictly, as long as
    /// any of them wait.
    ///
    /// It counts among the handlers of one worker, where there is more work than slots. A group of lower priority
    /// claims nothing meanwhile, which leaves its messages to other workers.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets how large its share of the slots is among handlers of one priority: with weights 3 and 1, three
    /// quarters and one quarter of the time in slots, while both have work.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Sets how many messages a [`BatchHandler`](crate::BatchHandler) gets at most at once.
    pub fn batch(mut self, most: usize) -> Self {
        self.batch = Some(most);
        self
    }

    /// Sets how many deliveries of the group are in flight at once, over all workers.
    ///
    /// In flight is what a worker has been given: what waits there for a slot, too. It is the group's: all its
    /// handlers together have this many.
    pub fn max_in_flight(mut self, deliveries: u32) -> Self {
        self.max_in_flight = Some(deliveries);
        self
    }

    /// Sets how many deliveries of each key prefix are in flight at once, over all workers.
    ///
    /// With keys like `tenant-7:order-12` no tenant can take all the workers: the cursor passes over what a
    /// tenant has too much of, which waits while others go on.
    pub fn max_in_flight_per_prefix(mut self, deliveries: u32) -> Self {
        self.max_in_flight_per_prefix = Some(deliveries);
        self
    }

    /// Sets what ends the prefix of a key: 1 to 16 characters.
    pub fn prefix_delimiter(mut self, delimiter: impl Into<Cow<'static, str>>) -> Self {
        self.prefix_delimiter = Some(delimiter.into());
        self
    }

    /// Sets how many attempts of the group begin in a time, over all workers. Retries are attempts, too.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Sets how many attempts may begin at once after a quiet time, where there is a rate.
    pub fn burst(mut self, attempts: u32) -> Self {
        self.burst = Some(attempts);
        self
    }

    /// Sets when the group rests, because its attempts fail.
    pub fn breaker(mut self, breaker: Breaker) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// The limits among the options. What is not set keeps what the group has.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_in_flight: self.max_in_flight.map(Limit::At),
            max_in_flight_per_prefix: self.max_in_flight_per_prefix.map(Limit::At),
            prefix_delimiter: self.prefix_delimiter.as_deref().map(str::to_owned),
            rate: self.rate.map(Limit::At),
            burst: self.burst.map(Limit::At),
            breaker: self.breaker.map(Limit::At),
        }
    }

    /// Sets where a group that does not exist yet begins.
    pub fn start(mut self, start: Start) -> Self {
        self.start = Some(start);
        self
    }

    /// The attempt after which an error leaves a delivery dead: one more than the retries.
    pub fn max_attempts(&self) -> u32 {
        self.retries
            .unwrap_or(Self::DEFAULT_RETRIES)
            .saturating_add(1)
    }
}
