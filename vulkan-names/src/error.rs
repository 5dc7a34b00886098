use std::error::Error;
use std::fmt;

/// What a rejected text was meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// The name of a stream.
    Stream,
    /// The name of a group.
    Group,
    /// The name of a handler, as logs and `vulkan.workers` show it.
    Handler,
    /// The kind of an event.
    Kind,
    /// A pattern over kinds.
    Pattern,
    /// The name of a recurring event.
    Schedule,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream name",
            Self::Group => "group name",
            Self::Handler => "handler name",
            Self::Kind => "kind",
            Self::Pattern => "kind pattern",
            Self::Schedule => "schedule name",
        })
    }
}

/// What is wrong with a name, and where. Positions count bytes from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// There is no text at all.
    Empty,
    /// The text is longer than allowed.
    TooLong {
        /// The length in bytes.
        len: usize,
        /// The longest length allowed.
        max: usize,
    },
    /// A character that is never allowed here.
    Character {
        /// The character.
        found: char,
        /// Where it stands.
        at: usize,
    },
    /// A character that is allowed, but not as the first.
    First {
        /// The character.
        found: char,
    },
    /// Two dots in a row, or a dot at either end.
    EmptySegment {
        /// Where the segment should begin.
        at: usize,
    },
    /// A `*` or `>` that shares its segment with other characters.
    Wildcard {
        /// `*` or `>`.
        found: char,
        /// Where it stands.
        at: usize,
    },
    /// A `>` that is not the last segment.
    Tail {
        /// Where it stands.
        at: usize,
    },
}

/// A name, kind or pattern that breaks its rule.
///
/// The `Display` form quotes the text, says what is wrong and what would be right.
/// It is meant for people; match on [`problem`](Self::problem) instead of the wording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    subject: Subject,
    name: String,
    problem: Problem,
}

impl NameError {
    pub(crate) fn new(subject: Subject, name: &str, problem: Problem) -> Self {
        // A hostile or mistaken megabyte must not travel on into logs.
        let name = match name.char_indices().nth(160) {
            Some((end, _)) => format!("{}…", &name[..end]),
            None => name.to_owned(),
        };
        Self {
            subject,
            name,
            problem,
        }
    }

    /// What the text was meant to be.
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// What is wrong with it.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    fn alphabet(&self) -> &'static str {
        match self.subject {
            Subject::Stream | Subject::Group | Subject::Handler | Subject::Schedule => {
                "use a-z, 0-9, '.', '_' or '-'"
            }
            Subject::Kind => "use A-Z, a-z, 0-9, '_' or '-' in segments joined by '.'",
            Subject::Pattern => {
                "use A-Z, a-z, 0-9, '_' or '-' in segments joined by '.', \
                 '*' for any one segment, '>' for the rest"
            }
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, name, .. } = self;
        match self.problem {
            Problem::Empty => write!(f, "{subject} is empty"),
            Problem::TooLong { len, max } => {
                write!(f, "{subject} {name:?} has {len} bytes, more than {max}")
            }
            Problem::Character { found, at } => write!(
                f,
                "{subject} {name:?} contains {found:?} at byte {at}: {}",
                self.alphabet(),
            ),
            Problem::First { found } => write!(
                f,
                "{subject} {name:?} begins with {found:?}: begin with a-z or 0-9",
            ),
            Problem::EmptySegment { at } => write!(
                f,
                "{subject} {name:?} has an empty segment at byte {at}: \
                 put text between the dots",
            ),
            Problem::Wildcard { found, at } => write!(
                f,
                "{subject} {name:?} mixes {found:?} with text at byte {at}: \
                 a wildcard is a segment of its own",
            ),
            Problem::Tail { at } => write!(
                f,
                "{subject} {name:?} goes on after '>' at byte {at}: \
                 '>' stands for all that remains, so it comes last",
            ),
        }
    }
}

impl Error for NameError {}
