//! An aggregate in memory, and how it applies its events.

use dormouse_journal::{Anchor, Append};
use dormouse_kernel::{
    Aggregate, AggregateId, Chain, CodecError, EventCodec, RecordedEvent, TimerChange, Timestamp, Version,
};

use super::active_timers::ActiveTimers;
use crate::aggregates::VersionedState;
use crate::command::CommandOptions;
use crate::keys::RecentKeys;

/// The state of an aggregate, with its version, chain and recent keys. That of a live aggregate includes all events
/// that it has decided, durable or not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LoadedAggregate<A> {
    pub(super) state: A,
    pub(super) version: Version,
    pub(super) chain: Chain,
    /// When the last event was recorded. The next event is never earlier.
    pub(super) recorded_at: Timestamp,
    pub(super) keys: RecentKeys,
    pub(super) timers: ActiveTimers,
    /// How many events there are since the last snapshot.
    pub(super) since_snapshot: u64,
    /// [`RegisteredType::forgets`](crate::registered_type::RegisteredType::forgets) when the state was loaded. If that has
    /// changed, the state may contain what was forgotten, and the actor loads it again.
    pub(super) forgets: u64,
}

impl<A: Aggregate> LoadedAggregate<A> {
    /// Whether the aggregate belongs to the sender of a command with these options.
    pub(super) fn is_of(&self, id: &AggregateId, options: &CommandOptions) -> bool {
        options.subject.is_some() && self.state.owner(id) == options.subject.as_deref()
    }

    /// The aggregate before its first event.
    pub(crate) fn new() -> Self {
        Self {
            state: A::default(),
            version: Version::ZERO,
            chain: Chain::ROOT,
            recorded_at: Timestamp::MIN,
            keys: RecentKeys::default(),
            timers: ActiveTimers::default(),
            since_snapshot: 0,
            forgets: 0,
        }
    }

    /// Applies an event from the journal.
    pub(crate) fn replay(
        &mut self,
        recorded: &RecordedEvent,
        codec: &EventCodec<A::Event>,
        recent_keys: usize,
    ) -> Result<(), CodecError> {
        let event = &recorded.event;
        let decoded = codec.decode(&event.event_type, event.schema_version, &event.payload)?;
        decoded.as_slice().iter().for_each(|event| self.state.evolve(event));
        if let Some(key) = &recorded.command_key {
            self.keys.remember(key, recorded.version, recent_keys);
        }
        if let Some(outgoing) = recorded.outgoing()? {
            self.timers.apply(&outgoing.timers, recorded.version);
        }
        self.version = recorded.version;
        self.chain = event.chain;
        self.recorded_at = event.recorded_at;
        self.since_snapshot += 1;
        Ok(())
    }

    /// Applies a decision of its own. `after` is the state after the events, if the domain has computed it.
    pub(super) fn apply(
        &mut self,
        events: &[A::Event],
        after: Option<A>,
        timers: &[TimerChange],
        append: &Append,
        recent_keys: usize,
    ) {
        match after {
            Some(after) => self.state = after,
            None => events.iter().for_each(|event| self.state.evolve(event)),
        }
        if let Some(key) = append.command_key() {
            self.keys.remember(key, append.expected.next(), recent_keys);
        }
        self.timers.apply(timers, append.expected.next());
        self.version = append.last_version();
        if let Some(last) = append.events.last() {
            self.chain = last.chain;
            self.recorded_at = last.recorded_at;
        }
        self.since_snapshot += append.events.len() as u64;
    }

    /// Where a read of the following events starts.
    pub(crate) fn anchor(&self) -> Anchor {
        Anchor { version: self.version, chain: self.chain }
    }

    pub(super) fn to_versioned_state(&self) -> VersionedState<A> {
        let Self { version, chain, recorded_at, .. } = *self;
        VersionedState { state: self.state.clone(), version, mark: chain.mark(), recorded_at }
    }

    pub(crate) fn into_versioned_state(self) -> VersionedState<A> {
        VersionedState {
            state: self.state,
            version: self.version,
            mark: self.chain.mark(),
            recorded_at: self.recorded_at,
        }
    }
}
