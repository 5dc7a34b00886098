use std::fmt;
use std::str::FromStr;

use crate::error::{NameError, Subject};
use crate::kind::check_kind;
use crate::name::check_name;
use crate::pattern::{check_pattern, pattern_matches};

/// A text that has passed its check, and the conversions that are the same for each.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Takes the text out.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                // Checked before it is copied: a rejected text may be of any size.
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(checked: $name) -> Self {
                checked.0
            }
        }
    };
}

checked_text! {
    /// The name of a stream, known to obey [`check_name`].
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan_names::StreamName;
    ///
    /// let orders = StreamName::try_from("orders")?;
    /// assert_eq!(orders.as_str(), "orders");
    /// # Ok::<(), vulkan_names::NameError>(())
    /// ```
    StreamName, |text| check_name(Subject::Stream, text)
}

checked_text! {
    /// The name of a group of handlers that share one position in a stream,
    /// known to obey [`check_name`].
    GroupName, |text| check_name(Subject::Group, text)
}

checked_text! {
    /// The kind of an event, known to obey [`check_kind`].
    Kind, check_kind
}

checked_text! {
    /// A pattern over kinds, known to obey [`check_pattern`].
    KindPattern, check_pattern
}

impl KindPattern {
    /// Whether `kind` is one of those this pattern stands for.
    pub fn matches(&self, kind: &str) -> bool {
        pattern_matches(&self.0, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_speaks_of_itself() {
        let table = [
            (StreamName::try_from("A").unwrap_err(), "stream name"),
            (GroupName::try_from("A").unwrap_err(), "group name"),
            (Kind::try_from("a.*").unwrap_err(), "kind \"a.*\""),
            (KindPattern::try_from("*a").unwrap_err(), "kind pattern"),
        ];
        for (error, beginning) in table {
            assert!(error.to_string().starts_with(beginning), "{error}");
        }
    }

    #[test]
    fn text_survives() {
        let kind: Kind = "order.placed".parse().unwrap();
        assert_eq!(kind.to_string(), "order.placed");
        assert_eq!(String::from(kind), "order.placed");
    }
}
