//! Given/when/then: tests of an aggregate without a runtime.

use std::cell::Cell;
use std::fmt::Debug;

use jiff::Timestamp;

use crate::aggregate::{Aggregate, Rejection};
use crate::clock::SequentialIds;
use crate::codec::{Decoded, EventCodec};
use crate::context::Context;
use crate::id::{AggregateId, TimerName};
use crate::message::{Message, Refusal};
use crate::number::Version;
use crate::outgoing::Outgoing;
use crate::timer::{Schedule, TimerChange, Timing};

/// An aggregate with a history. Every event is encoded and decoded, so that a test also shows that it can be stored.
#[derive(Debug)]
pub struct Given<A: Aggregate> {
    id: AggregateId,
    state: A,
    version: Version,
    now: Timestamp,
    subject: Option<String>,
    refusal: Option<Refusal>,
    codec: EventCodec<A::Event>,
}

impl<A: Aggregate> Given<A> {
    /// An aggregate without events.
    ///
    /// # Panics
    /// If the events of `A` are not an enum.
    #[must_use]
    pub fn nothing() -> Self {
        Self::events([])
    }

    /// An aggregate with these events.
    ///
    /// # Panics
    /// If an event cannot be stored and read back.
    #[must_use]
    pub fn events(events: impl IntoIterator<Item = A::Event>) -> Self {
        let codec = EventCodec::new().unwrap_or_else(|error| panic!("{error}"));
        let id = AggregateId::new("test").unwrap_or_else(|error| panic!("{error}"));
        let mut given = Self {
            id,
            state: A::default(),
            version: Version::ZERO,
            now: Timestamp::UNIX_EPOCH,
            subject: None,
            refusal: None,
            codec,
        };
        for event in events {
            given.state.evolve(&given.stored(&event));
            given.version = given.version.next();
        }
        given
    }

    /// Sets the id of the aggregate (otherwise `test`).
    ///
    /// # Panics
    /// If the id is not valid.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = AggregateId::new(id).unwrap_or_else(|error| panic!("{error}"));
        self
    }

    /// Sets the time (otherwise the epoch).
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// Sets the user on whose behalf the command is sent (otherwise none).
    #[must_use]
    pub fn for_subject(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }

    /// Says that the command answers the refusal of a message, with this code.
    #[must_use]
    pub fn after_refusal(mut self, code: &str) -> Self {
        self.refusal = Some(Refusal { code: code.to_owned(), detail: code.to_owned() });
        self
    }

    /// The state after the events.
    #[must_use]
    pub const fn state(&self) -> &A {
        &self.state
    }

    /// Decides this command. The ids that it draws are 1, 2, 3, …
    ///
    /// # Panics
    /// If an event that it makes cannot be stored and read back, or if something that it sends or schedules is not
    /// valid.
    #[must_use]
    pub fn when(self, command: A::Command) -> When<A> {
        let ids = SequentialIds::default();
        let mut context = Context::new(&self.id, &self.state, self.version, self.now, &ids)
            .with_subject(self.subject.as_deref())
            .with_refusal(self.refusal.as_ref());
        let decided = self.state.decide(command, &mut context);
        let effects = context.into_effects().unwrap_or_else(|problem| panic!("{problem}"));
        let (events, outgoing) = (effects.events, effects.outgoing);
        let mut state = self.state.clone();
        let events: Vec<_> =
            if decided.is_ok() { events.iter().map(|event| self.stored(event)).collect() } else { Vec::new() };
        events.iter().for_each(|event| state.evolve(event));
        let outgoing = if decided.is_ok() { outgoing } else { Outgoing::default() };
        When { decided, events, outgoing, state, now: self.now, checked: Cell::new(false) }
    }

    fn stored(&self, event: &A::Event) -> A::Event {
        let encoded = self.codec.encode(event).unwrap_or_else(|error| panic!("{error}"));
        let decoded = self.codec.decode(encoded.name, encoded.schema_version, &encoded.fields);
        match decoded.unwrap_or_else(|error| panic!("{error}")) {
            Decoded::One(event) => event,
            Decoded::Many(events) => {
                panic!("{} is written in an old version: it splits into {}", encoded.name, events.len())
            }
        }
    }
}

/// The result of a decision.
#[derive(Debug)]
pub struct When<A: Aggregate> {
    decided: Result<A::Reply, A::Rejection>,
    events: Vec<A::Event>,
    outgoing: Outgoing,
    state: A,
    now: Timestamp,
    checked: Cell<bool>,
}

impl<A: Aggregate> When<A> {
    /// Asserts that the command was accepted with exactly these events.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) -> Self
    where
        A::Event: Debug + PartialEq,
    {
        self.checked();
        if let Err(rejection) = &self.decided {
            panic!("the command was rejected: {rejection} ({})", rejection.code());
        }
        assert_eq!(self.events, events.into_iter().collect::<Vec<_>>());
        self
    }

    /// Asserts that the command sent exactly these messages ([`Message::to`]), in this order.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn then_sent(self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.checked();
        assert_eq!(self.outgoing.messages, messages.into_iter().collect::<Vec<_>>());
        self
    }

    /// Asserts that the command changed exactly these timers ([`ExpectedTimer`]), in this order.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn then_scheduled(self, changes: impl IntoIterator<Item = ExpectedTimer<A>>) -> Self {
        self.checked();
        let expected: Vec<_> = changes.into_iter().map(|change| change.at(self.now)).collect();
        assert_eq!(self.outgoing.timers, expected);
        self
    }

    /// Asserts that the command was rejected with this code.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn then_rejected(self, code: &str) -> Self
    where
        A::Event: Debug,
    {
        self.checked();
        match &self.decided {
            Ok(_) => panic!("the command was accepted, with {:?}", self.events),
            Err(rejection) => assert_eq!(rejection.code(), code, "{rejection}"),
        }
        self
    }

    /// Asserts that the command was accepted with this reply.
    ///
    /// # Panics
    /// If it was rejected, or has another reply.
    #[track_caller]
    pub fn and_replies(self, reply: &A::Reply) -> Self
    where
        A::Reply: Debug + PartialEq,
    {
        self.checked();
        match &self.decided {
            Ok(replied) => assert_eq!(replied, reply),
            Err(rejection) => panic!("the command was rejected: {rejection} ({})", rejection.code()),
        }
        self
    }

    /// The state after the decision.
    #[must_use]
    pub fn state(&self) -> &A {
        self.checked();
        &self.state
    }

    fn checked(&self) {
        self.checked.set(true);
    }
}

/// A change of a timer that a test expects.
#[derive(Debug)]
pub struct ExpectedTimer<A: Aggregate> {
    name: TimerName,
    /// `None`: the timer is cancelled.
    set: Option<(Timing, A::Command)>,
}

impl<A: Aggregate> ExpectedTimer<A> {
    /// The timer is set.
    ///
    /// # Panics
    /// If the name is not valid.
    #[must_use]
    #[track_caller]
    pub fn set(name: &str, timing: impl Into<Timing>, command: A::Command) -> Self {
        Self { set: Some((timing.into(), command)), ..Self::cancelled(name) }
    }

    /// The timer is cancelled.
    ///
    /// # Panics
    /// If the name is not valid.
    #[must_use]
    #[track_caller]
    pub fn cancelled(name: &str) -> Self {
        Self { name: TimerName::new(name).unwrap_or_else(|invalid| panic!("{invalid}")), set: None }
    }

    fn at(self, now: Timestamp) -> TimerChange {
        let Some((timing, command)) = self.set else { return TimerChange::Cancelled { name: self.name } };
        let schedule = Schedule::new(timing, now).unwrap_or_else(|| panic!("the timer {} is never due", self.name));
        TimerChange::set::<A>(self.name, schedule, &command).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A test without an assertion cannot fail.
impl<A: Aggregate> Drop for When<A> {
    fn drop(&mut self) {
        if !self.checked.get() && !std::thread::panicking() {
            panic!("`when` without a `then`: this test cannot fail");
        }
    }
}
