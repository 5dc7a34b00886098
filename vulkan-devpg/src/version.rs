//! PostgreSQL's version numbers.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

/// The oldest major version that Vulkan works on.
const MINIMUM: u32 = 14;

/// A version such as 15.18, or a plain major version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: Option<u32>,
}

impl Version {
    /// Asks a `postgres` program.
    pub(crate) fn of(postgres: &Path) -> Result<Self, String> {
        let output = Command::new(postgres).arg("--version").output();
        let output = output.map_err(|error| format!("one that does not run ({error})"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
        let number = text.split_whitespace().nth(2).unwrap_or_default();
        let unknown = || format!("an unknown version ({:?})", text.trim());
        number.parse().map_err(|()| unknown())
    }

    pub(crate) fn is_enough(self) -> bool {
        self.major >= MINIMUM
    }
}

impl FromStr for Version {
    type Err = ();

    /// Takes `15.18`, `15` and the `18beta1` of a pre-release.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(|c: char| !c.is_ascii_digit());
        let major = parts.next().and_then(|part| part.parse().ok()).ok_or(())?;
        let minor = parts.next().and_then(|part| part.parse().ok());
        Ok(Self { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            Some(minor) => write!(f, "{}.{minor}", self.major),
            None => write!(f, "{}", self.major),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_read_and_ordered_as_numbers() {
        assert_eq!(version("15.18").to_string(), "15.18");
        assert!(version("18beta1").is_enough());
        assert!(version("9.6") < version("14"));
        assert!(version("14.9") < version("14.10"));
        assert!("devel".parse::<Version>().is_err());
    }

    #[test]
    fn fourteen_is_enough() {
        assert!(version("14").is_enough());
        assert!(!version("13.22").is_enough());
    }
}
