//! An installation: real sites, reservations and backups, with a bus in memory that delivers their messages.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;

use dormouse_aggregates::hosting::{Backup, DomainReservation, Site};
use dormouse_kernel::{
    AddressedCommand, Aggregate, AggregateId, AggregateRef, Context, EventCodec, Outgoing, Refusal, Rejection,
    SequentialIds, TimerChange, Timestamp, Version, decode, encode,
};

/// The aggregates, the messages under way, and the timers that are set.
#[derive(Default)]
pub(crate) struct Installation {
    pub(crate) sites: Actors<Site>,
    pub(crate) reservations: Actors<DomainReservation>,
    pub(crate) backups: Actors<Backup>,
    /// For each sender its messages, in the order in which it sent them.
    messages: BTreeMap<AggregateRef, VecDeque<Delivery>>,
    timers: BTreeMap<(AggregateRef, String), AddressedCommand>,
}

/// The aggregates of one type, and what they refused.
pub(crate) struct Actors<A: Aggregate> {
    states: BTreeMap<String, A>,
    events: Vec<(String, A::Event)>,
    pub(crate) refusals: Vec<&'static str>,
}

#[derive(Clone)]
struct Delivery {
    command: AddressedCommand,
    on_refused: Option<AddressedCommand>,
    /// The refusal that the command answers.
    refusal: Option<Refusal>,
}

impl Installation {
    /// Decides a command of a client or a job. Returns whether it was accepted.
    pub(crate) fn request<A: Aggregate>(&mut self, id: &str, command: &A::Command) -> bool {
        let command = AddressedCommand::new::<A>(id, command).expect("a command");
        self.decide(&command, None).is_ok()
    }

    /// Delivers a message of one sender that has any: the one at `place`, the first if there are not so many.
    ///
    /// A command that stored nothing is not known to have been decided. If the server stops at this moment, it is
    /// decided again: `again` says so.
    pub(crate) fn deliver(&mut self, sender: usize, place: usize, again: bool) -> bool {
        let mut waiting: Vec<_> = self.messages.iter_mut().filter(|(_, queue)| !queue.is_empty()).collect();
        let number = waiting.len();
        let Some((sender, queue)) = (number > 0).then(|| waiting.swap_remove(sender % number)) else { return false };
        let (sender, place) = (sender.clone(), place % queue.len());
        let delivery = queue.remove(place).expect("a message");
        let decided = self.decide(&delivery.command, delivery.refusal.as_ref());
        let queue = self.messages.entry(sender).or_default();
        if again && !matches!(decided, Ok(true)) {
            queue.insert(place, delivery.clone());
        }
        if let (Err(refusal), Some(command)) = (decided, delivery.on_refused) {
            queue.insert(place, Delivery { command, on_refused: None, refusal: Some(refusal) });
        }
        true
    }

    /// Delivers all messages, also those that they cause.
    pub(crate) fn settle(&mut self) {
        while self.deliver(0, 0, false) {}
    }

    /// Fires one of the timers that are set.
    pub(crate) fn fire(&mut self, timer: usize) -> bool {
        let number = self.timers.len();
        let Some(key) = (number > 0).then(|| self.timers.keys().nth(timer % number)).flatten().cloned() else {
            return false;
        };
        let command = self.timers.remove(&key).expect("a timer");
        self.decide(&command, None).expect("a timer that is set is accepted");
        true
    }

    /// Whether the aggregate has a timer.
    pub(crate) fn has_timer<A: Aggregate>(&self, id: &str) -> bool {
        self.timers.keys().any(|(aggregate, _)| aggregate.to_string() == format!("{}/{id}", A::TYPE))
    }

    /// Whether the command was accepted, and if so, whether it stored anything.
    fn decide(&mut self, command: &AddressedCommand, refusal: Option<&Refusal>) -> Result<bool, Refusal> {
        let aggregate = command.aggregate();
        let (stored, outgoing) = match aggregate.aggregate_type.as_str() {
            Site::TYPE => self.sites.decide(&aggregate.id, command, refusal)?,
            DomainReservation::TYPE => self.reservations.decide(&aggregate.id, command, refusal)?,
            Backup::TYPE => self.backups.decide(&aggregate.id, command, refusal)?,
            other => panic!("a message to {other}"),
        };
        let deliveries = outgoing.messages.into_iter().map(|message| Delivery {
            command: message.to,
            on_refused: message.on_refused,
            refusal: None,
        });
        self.messages.entry(aggregate.clone()).or_default().extend(deliveries);
        for change in outgoing.timers {
            let key = (aggregate.clone(), change.name().to_string());
            match change {
                TimerChange::Set { command, .. } => {
                    _ = self.timers.insert(key, AddressedCommand::encoded(aggregate.clone(), command));
                }
                TimerChange::Cancelled { .. } | TimerChange::Fired { .. } => _ = self.timers.remove(&key),
            }
        }
        Ok(stored)
    }
}

impl<A: Aggregate> Actors<A> {
    pub(crate) fn get(&self, id: &str) -> A {
        self.states.get(id).cloned().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &A)> {
        self.states.iter().map(|(id, state)| (id.as_str(), state))
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &A::Event> {
        self.events.iter().map(|(_, event)| event)
    }

    /// Checks that stored events, and stored states, lead to the same states.
    pub(crate) fn check_stored(&self)
    where
        A: Debug + PartialEq,
    {
        let codec = EventCodec::<A::Event>::new().expect("an enum");
        let mut replayed: BTreeMap<String, A> = BTreeMap::new();
        for (id, event) in &self.events {
            let stored = codec.encode(event).expect("encodable");
            let read = codec.decode(stored.name, stored.schema_version, &stored.fields).expect("decodable");
            let state = replayed.entry(id.clone()).or_default();
            read.as_slice().iter().for_each(|event| state.evolve(event));
        }
        for (id, state) in &self.states {
            assert_eq!(replayed.get(id).unwrap_or(&A::default()), state);
            assert_eq!(decode::<A>(&encode(state).expect("encodable")).expect("decodable"), *state);
        }
    }

    fn decide(
        &mut self,
        id: &AggregateId,
        command: &AddressedCommand,
        refusal: Option<&Refusal>,
    ) -> Result<(bool, Outgoing), Refusal> {
        let state = self.states.entry(id.to_string()).or_default();
        let ids = SequentialIds::default();
        let mut context = Context::new(id, &*state, Version(1), Timestamp::UNIX_EPOCH, &ids).with_refusal(refusal);
        let command = decode::<A::Command>(command.command()).expect("a command");
        if let Err(rejection) = state.decide(command, &mut context) {
            self.refusals.push(rejection.code());
            return Err(Refusal { code: rejection.code().to_owned(), detail: rejection.to_string() });
        }
        let effects = context.into_effects().expect("valid messages and timers");
        let stored = !effects.events.is_empty() || !effects.outgoing.is_empty();
        effects.events.iter().for_each(|event| state.evolve(event));
        self.events.extend(effects.events.into_iter().map(|event| (id.to_string(), event)));
        Ok((stored, effects.outgoing))
    }
}

impl<A: Aggregate> Default for Actors<A> {
    fn default() -> Self {
        Self { states: BTreeMap::new(), events: Vec::new(), refusals: Vec::new() }
    }
}
