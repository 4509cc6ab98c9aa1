//! What an aggregate may know beyond its state, and the way its events get out.

use jiff::Timestamp;
use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::clock::IdSource;
use crate::id::AggregateId;
use crate::number::Version;

/// One decision under way: time, ids, and the events emitted so far.
#[derive(Debug)]
pub struct Context<'a, A: Aggregate> {
    id: &'a AggregateId,
    version: Version,
    now: Timestamp,
    ids: &'a dyn IdSource,
    before: &'a A,
    /// The state after the emitted events; made when first asked for.
    after: Option<A>,
    emitted: Vec<A::Event>,
}

impl<'a, A: Aggregate> Context<'a, A> {
    /// A decision on `before`, which is the state at `version`, at the time `now`.
    #[must_use]
    pub fn new(id: &'a AggregateId, before: &'a A, version: Version, now: Timestamp, ids: &'a dyn IdSource) -> Self {
        Self { id, version, now, ids, before, after: None, emitted: Vec::new() }
    }

    /// Lets `event` happen, once this command is accepted.
    pub fn emit(&mut self, event: A::Event) {
        if let Some(after) = &mut self.after {
            after.evolve(&event);
        }
        self.emitted.push(event);
    }

    /// The state after what was emitted so far. (`self` in `decide` is the state before the command.)
    pub fn state(&mut self) -> &A {
        let (before, emitted) = (self.before, &self.emitted);
        self.after.get_or_insert_with(|| {
            let mut after = before.clone();
            emitted.iter().for_each(|event| after.evolve(event));
            after
        })
    }

    /// Which aggregate decides.
    #[must_use]
    pub const fn id(&self) -> &AggregateId {
        self.id
    }

    /// How many events it had before this command.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The time of this command, the same for all its events.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// An id that nobody has used before.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.ids.next(self.now)
    }

    /// What was emitted, in order, and the state after it if it has been worked out already.
    #[must_use]
    pub fn into_emitted(self) -> (Vec<A::Event>, Option<A>) {
        (self.emitted, self.after)
    }
}
