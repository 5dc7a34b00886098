use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// Where a group that does not exist yet begins to read its stream.
///
/// A group that exists goes on from its own position, whatever is asked for.
///
/// # Examples
///
/// ```
/// use vulkan_names::Start;
///
/// assert_eq!("latest".parse(), Ok(Start::Latest));
/// assert_eq!(Start::default().to_string(), "earliest");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Start {
    /// With the oldest event that the stream still holds.
    #[default]
    Earliest,
    /// With the first event published after the group was created.
    Latest,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earliest => "earliest",
            Self::Latest => "latest",
        })
    }
}

impl FromStr for Start {
    type Err = StartError;

    fn from_str(text: &str) -> Result<Self, StartError> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => Err(StartError(text.chars().take(40).collect())),
        }
    }
}

/// A start that is neither `earliest` nor `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r#"unknown start {:?}: use "earliest" or "latest""#,
            self.0
        )
    }
}

impl Error for StartError {}
