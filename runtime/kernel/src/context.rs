//! What a decision may use besides the state, and what it brings about: events, messages and timers.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::clock::IdSource;
use crate::id::{AggregateId, TimerName};
use crate::limits::{MESSAGES_PER_COMMAND, TIMERS_PER_COMMAND};
use crate::message::{AddressedCommand, Message, Refusal};
use crate::number::Version;
use crate::outgoing::{Outgoing, OutgoingError};
use crate::timer::{Schedule, TimerChange, Timing};

/// The context of one decision: time, ids, the events that it has emitted so far, and what it sends and schedules.
#[derive(Debug)]
pub struct Context<'a, A: Aggregate> {
    id: &'a AggregateId,
    version: Version,
    now: Timestamp,
    ids: &'a dyn IdSource,
    subject: Option<&'a str>,
    refusal: Option<&'a Refusal>,
    before: &'a A,
    /// The state after the emitted events. It is computed at the first request.
    after: Option<A>,
    emitted: Vec<A::Event>,
    outgoing: Outgoing,
    /// The first reason why the decision cannot be stored.
    problem: Option<Box<OutgoingError>>,
}

/// What an accepted command brings about.
#[derive(Debug)]
pub struct Effects<A: Aggregate> {
    /// The emitted events in order.
    pub events: Vec<A::Event>,
    /// The state after them, if it has been computed.
    pub after: Option<A>,
    /// What the command sends and schedules.
    pub outgoing: Outgoing,
}

/// A message that was just sent.
pub struct Sending<'c, 'a, A: Aggregate> {
    context: &'c mut Context<'a, A>,
    /// Whether the message is the last one of the context. It is not if it could not be sent.
    is_sent: bool,
}

impl<'a, A: Aggregate> Context<'a, A> {
    /// The context of a decision on the state `before` at `version`, at the time `now`.
    #[must_use]
    pub fn new(id: &'a AggregateId, before: &'a A, version: Version, now: Timestamp, ids: &'a dyn IdSource) -> Self {
        Self {
            id,
            version,
            now,
            ids,
            subject: None,
            refusal: None,
            before,
            after: None,
            emitted: Vec::new(),
            outgoing: Outgoing::default(),
            problem: None,
        }
    }

    /// The same with the user on whose behalf the command was sent.
    #[must_use]
    pub const fn with_subject(mut self, subject: Option<&'a str>) -> Self {
        self.subject = subject;
        self
    }

    /// The same with the refusal that the command answers.
    #[must_use]
    pub const fn with_refusal(mut self, refusal: Option<&'a Refusal>) -> Self {
        self.refusal = refusal;
        self
    }

    /// Emits an event, which happens if the command is accepted.
    pub fn emit(&mut self, event: A::Event) {
        if let Some(after) = &mut self.after {
            after.evolve(&event);
        }
        self.emitted.push(event);
    }

    /// Sends a command to the aggregate of type `B` with this id, if this command is accepted. It is delivered after
    /// the commit, exactly once, and after the earlier messages of this aggregate. If the other aggregate refuses it,
    /// this one gets the command that is given to [`on_refused`](Sending::on_refused).
    ///
    /// An id that is not valid, or more than [`MESSAGES_PER_COMMAND`] messages, make the whole command fail.
    pub fn send<B: Aggregate>(&mut self, id: impl AsRef<str>, command: B::Command) -> Sending<'_, 'a, A> {
        let message = Message::new::<B>(id, &command).map_err(OutgoingError::from);
        let is_full = self.outgoing.messages.len() >= MESSAGES_PER_COMMAND;
        let is_sent = match message {
            _ if is_full => self.fail(OutgoingError::TooManyMessages),
            Err(problem) => self.fail(problem),
            Ok(message) => {
                self.outgoing.messages.push(message);
                true
            }
        };
        Sending { context: self, is_sent }
    }

    /// Sets a timer of this aggregate: at the time of `timing` ([`After`](crate::After), [`At`](crate::At),
    /// [`Every`](crate::Every), [`Cron`](crate::Cron)) the aggregate gets `command`. A timer of the same name is
    /// replaced, and does not fire any more.
    ///
    /// A name that is not valid, a time that never comes, or more than [`TIMERS_PER_COMMAND`] changes make the whole
    /// command fail.
    pub fn schedule(&mut self, name: impl AsRef<str>, timing: impl Into<Timing>, command: A::Command) {
        let change = TimerName::new(name).map_err(OutgoingError::from).and_then(|name| {
            let schedule = Schedule::new(timing.into(), self.now);
            let schedule = schedule.ok_or_else(|| OutgoingError::NeverDue(name.to_string()))?;
            TimerChange::set::<A>(name, schedule, &command).map_err(OutgoingError::Timer)
        });
        self.change_timer(change);
    }

    /// Cancels a timer of this aggregate, if there is one of this name. It does not fire any more.
    pub fn cancel(&mut self, name: impl AsRef<str>) {
        self.change_timer(TimerName::new(name).map(|name| TimerChange::Cancelled { name }).map_err(Into::into));
    }

    /// The state after the events emitted so far. `self` in `decide` is the state before the command.
    pub fn state(&mut self) -> &A {
        let (before, emitted) = (self.before, &self.emitted);
        self.after.get_or_insert_with(|| {
            let mut after = before.clone();
            emitted.iter().for_each(|event| after.evolve(event));
            after
        })
    }

    /// The id of the aggregate.
    #[must_use]
    pub const fn id(&self) -> &AggregateId {
        self.id
    }

    /// How many events the aggregate had before this command.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The time of this command, the same for all its events.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The user on whose behalf the command was sent. Messages and timers have the subject of the command that sent or
    /// set them.
    #[must_use]
    pub const fn subject(&self) -> Option<&str> {
        self.subject
    }

    /// Why a message was refused, if this is the command that was given to [`on_refused`](Sending::on_refused).
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        self.refusal
    }

    /// A new unique id.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.ids.next(self.now)
    }

    /// What the command brings about.
    ///
    /// # Errors
    /// If something that it sent or scheduled is not valid.
    pub fn into_effects(self) -> Result<Effects<A>, OutgoingError> {
        match self.problem {
            Some(problem) => Err(*problem),
            None => Ok(Effects { events: self.emitted, after: self.after, outgoing: self.outgoing }),
        }
    }

    fn change_timer(&mut self, change: Result<TimerChange, OutgoingError>) {
        match change {
            Err(problem) => _ = self.fail(problem),
            Ok(change) => {
                // Only the last change of a timer counts.
                self.outgoing.timers.retain(|earlier| earlier.name() != change.name());
                if self.outgoing.timers.len() >= TIMERS_PER_COMMAND {
                    self.fail(OutgoingError::TooManyTimers);
                } else {
                    self.outgoing.timers.push(change);
                }
            }
        }
    }

    /// Notes the first problem. Returns `false`: nothing was sent.
    fn fail(&mut self, problem: OutgoingError) -> bool {
        self.problem.get_or_insert_with(|| Box::new(problem));
        false
    }
}

impl<A: Aggregate> fmt::Debug for Sending<'_, '_, A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Sending").field(&self.context.outgoing.messages.last()).finish()
    }
}

impl<A: Aggregate> Sending<'_, '_, A> {
    /// This aggregate gets `command` if the other one refuses the message. [`Context::refusal`] then says why. Without
    /// it, a refusal is only counted and logged.
    pub fn on_refused(self, command: A::Command) {
        if !self.is_sent {
            return;
        }
        match AddressedCommand::new::<A>(self.context.id, &command) {
            Err(problem) => _ = self.context.fail(problem.into()),
            Ok(addressed) => {
                if let Some(message) = self.context.outgoing.messages.last_mut() {
                    message.on_refused = Some(addressed);
                }
            }
        }
    }
}
