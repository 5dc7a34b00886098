//! Asking and asserting what has become of messages.

use std::future::Future;
use std::panic::Location;

use vulkan::Status;

use super::{Table, TestGroup, TestMessage, order};
use crate::failure::{Caller, OrFail, fail};

impl TestGroup<'_> {
    /// All messages of the group, by offset.
    ///
    /// # Panics
    ///
    /// When there is no such group.
    #[track_caller]
    pub fn messages(&self) -> impl Future<Output = Vec<TestMessage>> {
        let at = Location::caller();
        async move { self.all(at).await }
    }

    /// One message of the group.
    ///
    /// # Panics
    ///
    /// When the event is no message of the group, or there is no such group.
    #[track_caller]
    pub fn message(&self, offset: i64) -> impl Future<Output = TestMessage> {
        let at = Location::caller();
        async move { self.one(offset, at).await }
    }

    /// Whether a message is done. False for what is no message of the group, or not yet.
    #[track_caller]
    pub fn is_done(&self, offset: i64) -> impl Future<Output = bool> {
        let at = Location::caller();
        async move {
            let messages = TestMessage::all(self.app, &self.stream, &self.group, at).await;
            messages
                .iter()
                .any(|message| message.offset == offset && message.status == Status::Done)
        }
    }

    /// Asserts that so many messages are done.
    ///
    /// # Panics
    ///
    /// When it is another number, with all messages of the group. So do the other assertions.
    #[track_caller]
    pub fn assert_done(&self, count: usize) -> impl Future<Output = ()> {
        self.assert_count(Status::Done, "done", count)
    }

    /// Asserts that so many messages are dead.
    #[track_caller]
    pub fn assert_dead(&self, count: usize) -> impl Future<Output = ()> {
        self.assert_count(Status::Dead, "dead", count)
    }

    /// Asserts that so many messages wait: for their turn, for a retry, for their time.
    #[track_caller]
    pub fn assert_ready(&self, count: usize) -> impl Future<Output = ()> {
        self.assert_count(Status::Ready, "ready", count)
    }

    /// Asserts that so many messages are in work.
    #[track_caller]
    pub fn assert_processing(&self, count: usize) -> impl Future<Output = ()> {
        self.assert_count(Status::Processing, "processing", count)
    }

    /// Asserts that the group has messages, and that every one is done.
    #[track_caller]
    pub fn assert_all_done(&self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let messages = self.all(at).await;
            if messages.is_empty() || messages.iter().any(|one| one.status != Status::Done) {
                self.differs(at, "expected every message to be done", &messages);
            }
        }
    }

    /// Asserts that a message is dead, and that its error contains a text.
    #[track_caller]
    pub fn assert_dead_with(&self, offset: i64, error: &str) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let message = self.one(offset, at).await;
            let said = message.last_error.as_deref().unwrap_or_default();
            if message.status != Status::Dead || !said.contains(error) {
                let expected = format!("expected message {offset} to be dead with {error:?}");
                self.differs(at, &expected, &[message]);
            }
        }
    }

    /// Asserts that so many attempts at a message have begun.
    #[track_caller]
    pub fn assert_attempts(&self, offset: i64, attempts: i32) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let message = self.one(offset, at).await;
            if message.attempts != attempts {
                let expected = format!("expected {attempts} attempts at message {offset}");
                self.differs(at, &expected, &[message]);
            }
        }
    }

    /// Asserts that messages of one key were handled one after the other, in the order of their offsets, as the record has it.
    ///
    /// A key that was redriven may well be out of order: its dead message comes after others then.
    ///
    /// # Panics
    ///
    /// With the two messages that were not; when there is no message with a key that was handled.
    #[track_caller]
    pub fn assert_order_per_key(&self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let messages = self.all(at).await;
            match order::check(&messages) {
                order::Order::Kept => {}
                order::Order::Unknown => {
                    self.differs(
                        at,
                        "expected messages with keys that were handled",
                        &messages,
                    );
                }
                order::Order::Broken(earlier, later) => {
                    let expected = format!(
                        "expected message {} of key {:?} to be over before message {} began",
                        earlier.offset,
                        earlier.key.as_deref().unwrap_or_default(),
                        later.offset
                    );
                    self.differs(at, &expected, &[earlier.clone(), later.clone()]);
                }
            }
        }
    }

    #[track_caller]
    fn assert_count(
        &self,
        status: Status,
        name: &'static str,
        count: usize,
    ) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let messages = self.all(at).await;
            let found = messages.iter().filter(|one| one.status == status).count();
            if found != count {
                let expected = format!("expected {count} messages to be {name}, found {found}");
                self.differs(at, &expected, &messages);
            }
        }
    }

    async fn all(&self, at: Caller) -> Vec<TestMessage> {
        let messages = TestMessage::all(self.app, &self.stream, &self.group, at).await;
        if messages.is_empty() && !self.exists(at).await {
            fail(
                at,
                format_args!("there is no {self}: a worker makes its groups when it first runs"),
            );
        }
        messages
    }

    async fn one(&self, offset: i64, at: Caller) -> TestMessage {
        let mut messages = self.all(at).await;
        match messages.iter().position(|one| one.offset == offset) {
            Some(place) => messages.swap_remove(place),
            None => {
                let expected = format!("event {offset} is no message of the group");
                self.differs(at, &expected, &messages)
            }
        }
    }

    async fn exists(&self, at: Caller) -> bool {
        sqlx::query_scalar(include_str!("../../queries/group_exists.sql"))
            .bind(&self.stream)
            .bind(&self.group)
            .fetch_one(self.app.pool())
            .await
            .or_fail(at, "the group cannot be looked up")
    }

    fn differs(&self, at: Caller, expected: &str, messages: &[TestMessage]) -> ! {
        fail(at, format_args!("{self}: {expected}\n{}", Table(messages)))
    }
}
