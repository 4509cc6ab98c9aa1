//! What a decision may use besides the state, and the events that it emits.

use jiff::Timestamp;
use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::clock::IdSource;
use crate::id::AggregateId;
use crate::number::Version;

/// The context of one decision: time, ids, and the events that it has emitted so far.
#[derive(Debug)]
pub struct Context<'a, A: Aggregate> {
    id: &'a AggregateId,
    version: Version,
    now: Timestamp,
    ids: &'a dyn IdSource,
    before: &'a A,
    /// The state after the emitted events. It is computed at the first request.
    after: Option<A>,
    emitted: Vec<A::Event>,
}

impl<'a, A: Aggregate> Context<'a, A> {
    /// The context of a decision on the state `before` at `version`, at the time `now`.
    #[must_use]
    pub fn new(id: &'a AggregateId, before: &'a A, version: Version, now: Timestamp, ids: &'a dyn IdSource) -> Self {
        Self { id, version, now, ids, before, after: None, emitted: Vec::new() }
    }

    /// Emits an event, which happens if the command is accepted.
    pub fn emit(&mut self, event: A::Event) {
        if let Some(after) = &mut self.after {
            after.evolve(&event);
        }
        self.emitted.push(event);
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

    /// A new unique id.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.ids.next(self.now)
    }

    /// The emitted events in order, and the state after them if it has been computed.
    #[must_use]
    pub fn into_emitted(self) -> (Vec<A::Event>, Option<A>) {
        (self.emitted, self.after)
    }
}
