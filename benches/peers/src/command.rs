//! The command line.

use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    apalis_postgres::ApalisPostgres,
    awa::Awa,
    drive::{self, Steady},
    graphile_worker::GraphileWorker,
    load::{Load, Work},
    peer::{Peer, Setting},
    pgmq::Pgmq,
    pgq::Pgq,
    sqlxmq::Sqlxmq,
    underway::Underway,
};

const USAGE: &str = "usage: peers list | \
    peers <peer> drain --messages N --slots S [--payload-bytes 150] | \
    peers <peer> steady --seconds T --slots S [--work-ms W] [--rate R] [--payload-bytes 150]";

/// Calls `$do!` with the type of the peer named `$name`. The one list of all peers.
macro_rules! peers {
    ($($peer:ty),* $(,)?) => {
        const NAMES: &[&str] = &[$(<$peer as Peer>::NAME),*];

        async fn drain(peer: &str, setting: Setting, messages: u64) -> Result<()> {
            match peer {
                $(<$peer as Peer>::NAME => drive::drain::<$peer>(setting, messages).await,)*
                _ => Err(unknown(peer)),
            }
        }

        async fn steady(peer: &str, setting: Setting, run: Steady) -> Result<()> {
            match peer {
                $(<$peer as Peer>::NAME => drive::steady::<$peer>(setting, run).await,)*
                _ => Err(unknown(peer)),
            }
        }
    };
}

peers!(
    Awa,
    GraphileWorker,
    Pgq,
    ApalisPostgres,
    Sqlxmq,
    Pgmq,
    Underway,
);

#[derive(Debug)]
pub enum Command {
    List,
    Drain(String, Setting, u64),
    Steady(String, Setting, Steady),
}

impl Command {
    pub async fn run(self) -> Result<()> {
        match self {
            Self::List => {
                println!("{}", serde_json::json!({ "peers": NAMES }));
                Ok(())
            }
            Self::Drain(peer, setting, messages) => drain(&peer, setting, messages).await,
            Self::Steady(peer, setting, run) => steady(&peer, setting, run).await,
        }
    }
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Command> {
    let arguments: Vec<_> = arguments.collect();
    let (peer, kind, flags) = match arguments.as_slice() {
        [list] if list == "list" => return Ok(Command::List),
        [peer, kind, flags @ ..] => (peer, kind.as_str(), flags),
        _ => bail!("{USAGE}"),
    };
    if !NAMES.contains(&peer.as_str()) {
        return Err(unknown(peer));
    }
    let known: &[&str] = match kind {
        "drain" => &["--messages", "--slots", "--payload-bytes"],
        "steady" => &[
            "--seconds",
            "--slots",
            "--work-ms",
            "--rate",
            "--payload-bytes",
        ],
        _ => bail!("{USAGE}"),
    };
    let flags = Flags::new(flags, known)?;
    let setting = Setting {
        url: std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?,
        slots: flags.need("--slots")?,
        load: Load::new(flags.get("--payload-bytes")?.unwrap_or(150)),
        work: Work::new(flags.get("--work-ms")?.unwrap_or(0)),
    };
    if setting.slots == 0 {
        bail!("--slots must be at least 1");
    }
    if kind == "drain" {
        return Ok(Command::Drain(
            peer.clone(),
            setting,
            flags.need("--messages")?,
        ));
    }
    let run = Steady {
        seconds: flags.need("--seconds")?,
        rate: flags.get("--rate")?,
    };
    if !(run.seconds > 0.0 && run.seconds.is_finite()) {
        bail!("--seconds must be above 0");
    }
    if run
        .rate
        .is_some_and(|rate| !(rate > 0.0 && rate.is_finite()))
    {
        bail!("--rate must be above 0");
    }
    Ok(Command::Steady(peer.clone(), setting, run))
}

fn unknown(peer: &str) -> anyhow::Error {
    anyhow!("there is no peer {peer}: have {}", NAMES.join(", "))
}

/// Pairs of a flag and its value.
struct Flags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Flags<'a> {
    fn new(arguments: &'a [String], known: &[&str]) -> Result<Self> {
        let mut flags = Vec::new();
        for pair in arguments.chunks(2) {
            let [flag, value] = pair else {
                bail!("{} has no value", pair.concat());
            };
            if !known.contains(&flag.as_str()) {
                bail!("{flag} is not one of {}", known.join(", "));
            }
            flags.push((flag.as_str(), value.as_str()));
        }
        Ok(Self(flags))
    }

    fn get<T: FromStr>(&self, flag: &str) -> Result<Option<T>> {
        let given = self.0.iter().rev().find(|(name, _)| *name == flag);
        given
            .map(|(_, value)| {
                value
                    .parse()
                    .map_err(|_| anyhow!("{flag} cannot be {value}"))
            })
            .transpose()
    }

    fn need<T: FromStr>(&self, flag: &str) -> Result<T> {
        self.get(flag)?.with_context(|| format!("{flag} is needed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked<P: Peer>() -> bool {
        let (name, version) = (P::NAME, P::VERSION);
        let package = format!("name = \"{name}\"\nversion = \"{version}\"");
        include_str!("../Cargo.lock").contains(&package)
    }

    #[test]
    fn reports_name_the_versions_that_are_built() {
        assert!(locked::<Awa>());
        assert!(locked::<GraphileWorker>());
        assert!(locked::<ApalisPostgres>());
        assert!(locked::<Sqlxmq>());
        assert!(locked::<Pgmq>());
        assert!(locked::<Underway>());
    }
}
