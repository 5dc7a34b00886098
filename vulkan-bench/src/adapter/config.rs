use std::env::{self, VarError};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::job::MIN_BYTES;

/// What the environment says. Empty variables count as not set.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) url: String,
    pub(super) mode: Mode,
    /// The most messages of one publish.
    pub(super) batch_max: u64,
    /// How often what is owed is published.
    pub(super) batch_every: Duration,
    /// How many handlers run at once.
    pub(super) workers: usize,
    pub(super) payload_bytes: usize,
    /// How long a handler takes.
    pub(super) work: Duration,
    /// In seconds.
    pub(super) sample_every: i64,
    /// Which of several adapters of one run this is; `None` if nobody says so.
    pub(super) instance: Option<u32>,
    /// Whether this one publishes.
    pub(super) produces: bool,
}

/// What the producer goes by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mode {
    /// So many messages a second, by our own clock.
    Fixed {
        rate: f64,
        /// A file that holds another rate by now.
        control: Option<PathBuf>,
    },
    /// As many as the harness says on the standard input; at this rate once it says no more.
    Tokens { rate: f64 },
    /// As many as keep so many unclaimed.
    Depth { target: u64 },
}

/// A variable whose value cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{name} {found}; it must be {allowed}")]
pub(super) struct BadVariable {
    name: &'static str,
    found: String,
    allowed: String,
}

impl Config {
    pub(super) fn from_env() -> Result<Self, BadVariable> {
        Self::from_vars(|name| match env::var(name) {
            Ok(value) => Some(value),
            Err(VarError::NotPresent) => None,
            // No value of ours has such characters, so it is refused like any other.
            Err(VarError::NotUnicode(value)) => Some(value.to_string_lossy().into_owned()),
        })
    }

    pub(super) fn from_vars(get: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariable> {
        let vars = Vars(|name: &str| get(name).filter(|value| !value.is_empty()));
        let Some(url) = (vars.0)("DATABASE_URL") else {
            return Err(BadVariable {
                found: "is not set".into(),
                ..bad_url_variable()
            });
        };
        vars.one_of("SCENARIO", &["long_horizon"])?;
        let depth = vars.one_of("PRODUCER_MODE", &["fixed", "depth-target"])? == "depth-target";
        let tokens = vars.one_of("PRODUCER_PACING", &["adapter", "harness"])? == "harness";
        let rate = vars.number("PRODUCER_RATE", 800.0, 0.0, 10_000_000.0)?;
        let target = vars.number("TARGET_DEPTH", 1000, 0, 1_000_000_000)?;
        let instance = vars.number("BENCH_INSTANCE_ID", 0, 0, 1_000_000)?;
        let alone = vars.one_of("PRODUCER_ONLY_INSTANCE_ZERO", &["0", "1"])? == "1";
        Ok(Self {
            url,
            mode: match (depth, tokens) {
                (true, _) => Mode::Depth { target },
                (false, true) => Mode::Tokens { rate },
                (false, false) => Mode::Fixed {
                    rate,
                    control: (vars.0)("PRODUCER_RATE_CONTROL_FILE").map(PathBuf::from),
                },
            },
            batch_max: vars.number("PRODUCER_BATCH_MAX", 128, 1, 100_000)?,
            batch_every: Duration::from_millis(vars.number("PRODUCER_BATCH_MS", 25, 1, 60_000)?),
            workers: vars.number("WORKER_COUNT", 32, 1, 100_000)?,
            payload_bytes: vars.number("JOB_PAYLOAD_BYTES", 256, MIN_BYTES, 16_777_216)?,
            work: Duration::from_millis(vars.number("JOB_WORK_MS", 1, 0, 86_400_000)?),
            sample_every: vars.number("SAMPLE_EVERY_S", 5, 1, 3600)?,
            instance: (vars.0)("BENCH_INSTANCE_ID").map(|_| instance),
            produces: instance == 0 || !alone,
        })
    }

    /// How often the depth is asked for: a producer that goes by it wants it fresh.
    pub(super) fn depth_every(&self) -> Duration {
        match self.mode {
            Mode::Depth { .. } => Duration::from_millis(50),
            _ => Duration::from_millis(250),
        }
    }

    /// What all adapters of a run see alike is told by the first of them alone.
    pub(super) fn observes(&self) -> bool {
        self.instance.unwrap_or(0) == 0
    }
}

/// A URL that cannot be read. It is not quoted: it may hold a password.
pub(super) fn bad_url() -> BadVariable {
    BadVariable {
        found: "cannot be read".into(),
        ..bad_url_variable()
    }
}

fn bad_url_variable() -> BadVariable {
    BadVariable {
        name: "DATABASE_URL",
        found: String::new(),
        allowed: "a URL of a Postgres database, such as postgres://user:password@host:5432/name"
            .into(),
    }
}

struct Vars<G>(G);

impl<G: Fn(&str) -> Option<String>> Vars<G> {
    /// One of some words, the first unless set.
    fn one_of(
        &self,
        name: &'static str,
        allowed: &[&'static str],
    ) -> Result<&'static str, BadVariable> {
        let value = (self.0)(name);
        let found = match &value {
            Some(value) => allowed.iter().find(|word| *word == value),
            None => allowed.first(),
        };
        found.copied().ok_or_else(|| BadVariable {
            name,
            found: format!("is {:?}", value.unwrap_or_default()),
            allowed: allowed.join(" or "),
        })
    }

    /// A number within bounds.
    fn number<N>(
        &self,
        name: &'static str,
        unless_set: N,
        least: N,
        most: N,
    ) -> Result<N, BadVariable>
    where
        N: FromStr + PartialOrd + Copy + Display + Kind,
    {
        let Some(value) = (self.0)(name) else {
            return Ok(unless_set);
        };
        match value.trim().parse::<N>() {
            Ok(number) if number >= least && number <= most => Ok(number),
            _ => Err(BadVariable {
                name,
                found: format!("is {value:?}"),
                allowed: format!("{} from {least} to {most}", N::KIND),
            }),
        }
    }
}

/// What a user calls numbers of a type.
trait Kind {
    const KIND: &str;
}

macro_rules! whole {
    ($($number:ty),*) => { $(impl Kind for $number { const KIND: &str = "a whole number"; })* };
}
whole!(u32, u64, i64, usize);

impl Kind for f64 {
    const KIND: &str = "a number";
}

#[cfg(test)]
mod tests {
    use super::{Config, Mode};

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let url = ("DATABASE_URL", "postgres://localhost/x");
        Config::from_vars(|name| {
            let all = pairs.iter().chain([&url]);
            all.into_iter()
                .find(|(one, _)| *one == name)
                .map(|(_, value)| (*value).to_owned())
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn unless_set_all_is_as_the_contract_says() {
        let config = read(&[("PRODUCER_RATE", "")]).unwrap();
        assert_eq!(
            config.mode,
            Mode::Fixed {
                rate: 800.0,
                control: None
            }
        );
        assert_eq!((config.batch_max, config.workers), (128, 32));
        assert_eq!((config.payload_bytes, config.sample_every), (256, 5));
        assert_eq!(config.work.as_millis(), 1);
        assert!(config.produces && config.observes() && config.instance.is_none());
    }

    #[test]
    fn of_several_one_may_produce_and_one_observes() {
        let second = [
            ("BENCH_INSTANCE_ID", "1"),
            ("PRODUCER_ONLY_INSTANCE_ZERO", "1"),
        ];
        let config = read(&second).unwrap();
        assert!(!config.produces && !config.observes() && config.instance == Some(1));
        let both = read(&second[..1]).unwrap();
        assert!(both.produces);
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_what_can() {
        for (name, value, told) in [
            (
                "SCENARIO",
                "worker_throughput",
                r#"SCENARIO is "worker_throughput"; it must be long_horizon"#,
            ),
            (
                "PRODUCER_MODE",
                "burst",
                r#"PRODUCER_MODE is "burst"; it must be fixed or depth-target"#,
            ),
            (
                "PRODUCER_RATE",
                "nan",
                r#"PRODUCER_RATE is "nan"; it must be a number from 0 to 10000000"#,
            ),
            (
                "JOB_PAYLOAD_BYTES",
                "32",
                r#"JOB_PAYLOAD_BYTES is "32"; it must be a whole number from 33 to 16777216"#,
            ),
            (
                "WORKER_COUNT",
                "0",
                r#"WORKER_COUNT is "0"; it must be a whole number from 1 to 100000"#,
            ),
            (
                "SAMPLE_EVERY_S",
                "2.5",
                r#"SAMPLE_EVERY_S is "2.5"; it must be a whole number from 1 to 3600"#,
            ),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap_err(), told);
        }
    }
}
