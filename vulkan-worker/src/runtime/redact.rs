use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::handler::{HandlerError, cut};

/// What is looked at of an error with a long text, before it is cut: a secret that is cut in two may not be found.
const MAX_LOOKED_AT: usize = 1 << 16;

/// Takes out of the texts of errors what must not be stored or logged.
#[derive(Clone, Default)]
pub(super) struct Redact(Option<Arc<RedactFn>>);

type RedactFn = dyn for<'a> Fn(&'a str) -> Cow<'a, str> + Send + Sync;

impl Redact {
    pub(super) fn by(
        redact: impl for<'a> Fn(&'a str) -> Cow<'a, str> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(redact)))
    }

    /// The text of an error, fit to be stored.
    pub(super) fn error(&self, error: &HandlerError) -> String {
        let written = |max_len| {
            let written = catch_unwind(AssertUnwindSafe(|| error.message_of(max_len)));
            written.unwrap_or_else(|_| "an error that panicked while it was written out".into())
        };
        match &self.0 {
            None => written(HandlerError::MAX_MESSAGE_LEN),
            Some(_) => self.text(&written(MAX_LOOKED_AT)),
        }
    }

    /// A text, fit to be stored.
    pub(super) fn text(&self, text: &str) -> String {
        let Some(redact) = &self.0 else {
            return cut(text);
        };
        // Better no text than a secret.
        match catch_unwind(AssertUnwindSafe(|| cut(&redact(text)))) {
            Ok(text) => text,
            Err(_) => "an error whose text could not be redacted: the redactor panicked".into(),
        }
    }
}

impl fmt::Debug for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redact").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_cards(text: &str) -> Cow<'_, str> {
        text.replace("4242424242424242", "****").into()
    }

    #[test]
    fn finds_what_the_cut_would_tear_apart() {
        let edge = HandlerError::MAX_MESSAGE_LEN - 8;
        let error = HandlerError::dead(format!("{}4242424242424242", "x".repeat(edge)));
        assert!(Redact::default().error(&error).ends_with("x42424242"));
        assert!(Redact::by(no_cards).error(&error).ends_with("x****"));
    }

    #[test]
    fn what_it_makes_is_cut_too() {
        let grows = Redact::by(|text| text.replace('x', "a\0").into());
        let text = grows.text(&"x".repeat(5000));
        assert!(text.len() <= HandlerError::MAX_MESSAGE_LEN);
        assert!(text.starts_with("a\u{fffd}"));
    }

    #[test]
    fn a_panic_gives_nothing_away() {
        let fails = Redact::by(|_| panic!("no"));
        assert!(!fails.text("secret").contains("secret"));
    }
}
