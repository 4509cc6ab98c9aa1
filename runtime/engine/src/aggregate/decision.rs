//! From a command to events that are ready for the journal.

use dormouse_journal::{Append, AppendKey};
use dormouse_kernel::{
    Aggregate, AggregateId, CodecError, CommandRecord, Context, Effects, EncodedEvent, EventId, Metadata, NewEvent,
    OUTGOING_EVENT, OUTGOING_PAYLOAD, Outgoing, TimerChange, Timestamp, Uuid, Version, encode,
};

use super::LoadedAggregate;
use crate::command::CommandOptions;
use crate::delivery::UndecidedCommand;
use crate::error::CommandError;
use crate::outcome::EventSummary;
use crate::registered_type::RegisteredType;
use crate::sealing::Sealing;

/// What the domain decided, before it is applied.
pub(super) struct Decision<A: Aggregate> {
    pub(super) reply: A::Reply,
    pub(super) events: Vec<A::Event>,
    /// The state after the events, if the domain has computed it.
    pub(super) after: Option<A>,
    /// The changes of timers.
    pub(super) timers: Vec<TimerChange>,
    /// The append for the journal. `None` if there are no events, and nothing is sent or scheduled.
    pub(super) append: Option<Append>,
    /// The person whose data is in the append. `None` if nothing is sealed.
    pub(super) data_subject: Option<String>,
}

impl<A: Aggregate> Decision<A> {
    /// The names and versions of the events.
    pub(super) fn summaries(&self) -> Vec<EventSummary> {
        let Some(append) = &self.append else { return Vec::new() };
        let summary = |(index, event): (usize, &NewEvent)| EventSummary {
            event_type: event.event_type.clone(),
            version: append.expected.plus(index as u64 + 1),
        };
        append.events.iter().enumerate().map(summary).collect()
    }
}

impl<A: Aggregate> LoadedAggregate<A> {
    /// Lets the domain decide a command. It changes nothing, and panics if the domain's code does.
    #[expect(
        clippy::boxed_local,
        reason = "the command is in a box already, and is large: it is taken apart where it is"
    )]
    pub(super) fn decide(
        &self,
        registered: &RegisteredType<A>,
        id: &AggregateId,
        command: Box<UndecidedCommand<A>>,
    ) -> Result<Decision<A>, CommandError<A::Rejection>> {
        let UndecidedCommand { command, name, fingerprint, options, .. } = *command;
        let now = registered.node.time_after(self.recorded_at);
        let mut context = Context::new(id, &self.state, self.version, now, &*registered.node.ids)
            .with_subject(options.subject.as_deref())
            .with_refusal(options.refusal.as_deref());
        let reply = self.state.decide(command, &mut context).map_err(CommandError::Rejected)?;
        // The actor has checked the owner of an aggregate that exists. One that begins must belong to the sender.
        let begins = options.only_own && self.version == Version::ZERO;
        if begins && (options.subject.is_none() || context.state().owner(id) != options.subject.as_deref()) {
            return Err(CommandError::NotOwner);
        }
        let seals = registered.sealing.as_ref().is_some_and(Sealing::is_on);
        let data_subject = seals.then(|| context.state().data_subject(id).into_owned());
        let Effects { events, after, mut outgoing } = context.into_effects()?;
        if let Some(fired) = options.timer.as_deref().filter(|timer| timer.is_last)
            && outgoing.timers.iter().all(|change| *change.name() != fired.name)
        {
            outgoing.timers.push(TimerChange::Fired { name: fired.name.clone() });
        }
        if events.is_empty() && outgoing.is_empty() {
            return Ok(Decision { reply, events, after: None, timers: Vec::new(), append: None, data_subject: None });
        }
        check_outgoing(registered, &outgoing)?;
        let record = CommandRecord {
            name: name.into(),
            events: u32::try_from(events.len().max(1)).unwrap_or(u32::MAX),
            fingerprint,
            content: options.content.filter(|_| options.key.is_some()),
            reply: encode(&reply).map_err(unstorable)?,
        };
        let timers = outgoing.timers.clone();
        let append = self.append(registered, id, &events, Recorded { record, outgoing }, options, now)?;
        Ok(Decision { reply, events, after, timers, append: Some(append), data_subject })
    }

    fn append(
        &self,
        registered: &RegisteredType<A>,
        id: &AggregateId,
        events: &[A::Event],
        recorded: Recorded,
        options: CommandOptions,
        now: Timestamp,
    ) -> Result<Append, CommandError<A::Rejection>> {
        let limits = &registered.node.config.journal;
        if events.len() > limits.batch_events.get() {
            let limit = limits.batch_events;
            return Err(CommandError::Unstorable(format!("{} events, at most {limit} are allowed", events.len())));
        }
        let aggregate = registered.aggregate(id);
        let CommandOptions { key, correlation, causation, subject, tenant, traceparent, .. } = options;
        let mut metadata = Metadata {
            event_id: EventId(Uuid::nil()),
            correlation,
            causation,
            subject,
            tenant,
            traceparent,
            command: Some(recorded.record),
            outgoing: Some(recorded.outgoing).filter(|outgoing| !outgoing.is_empty()).map(Box::new),
        };
        let mut chain = self.chain;
        let mut encoded = Vec::with_capacity(events.len().max(1));
        let rows = events.iter().map(|event| registered.codec.encode(event));
        // A command that only sends or schedules gets a row of the runtime's own.
        let row_without_event = events
            .is_empty()
            .then(|| Ok(EncodedEvent { name: OUTGOING_EVENT, schema_version: 1, fields: OUTGOING_PAYLOAD.to_vec() }));
        for (index, row) in rows.chain(row_without_event).enumerate() {
            let stored = row.map_err(unstorable)?;
            if stored.fields.len() as u64 > limits.event_size_max.as_u64() {
                let (name, size, limit) = (stored.name, stored.fields.len(), limits.event_size_max);
                return Err(CommandError::Unstorable(format!(
                    "event {name} has {size} bytes, at most {limit} are allowed"
                )));
            }
            metadata.event_id = EventId(registered.node.ids.next(now));
            let mut new = NewEvent {
                event_type: stored.name.into(),
                schema_version: stored.schema_version,
                payload: stored.fields,
                metadata: encode(&metadata).map_err(unstorable)?,
                recorded_at: now,
                chain,
            };
            // The command and what it sends are recorded with its first event only.
            metadata.command = None;
            metadata.outgoing = None;
            let key = key.as_ref().filter(|_| index == 0);
            chain = chain.next(&aggregate, self.version.plus(index as u64 + 1), key, &new);
            new.chain = chain;
            encoded.push(new);
        }
        // The actor knows every key up to this version, or the bus has looked the older ones up in the journal.
        let key = key.map(|key| AppendKey { key, known_new: true });
        Ok(Append { aggregate, expected: self.version, key, events: encoded })
    }
}

/// What is recorded with the first event of a command.
struct Recorded {
    record: CommandRecord,
    outgoing: Outgoing,
}

/// Refuses messages that could never be delivered, and more than a row may hold.
fn check_outgoing<A: Aggregate>(
    registered: &RegisteredType<A>,
    outgoing: &Outgoing,
) -> Result<(), CommandError<A::Rejection>> {
    for message in &outgoing.messages {
        let target = message.to.aggregate_type();
        if !registered.node.knows_type(target.as_str()) {
            return Err(CommandError::Unsendable(format!("the application has no aggregate type {target:?}")));
        }
    }
    let (size, limit) = (outgoing.size_bytes(), registered.node.config.journal.event_size_max);
    if size as u64 > limit.as_u64() {
        return Err(CommandError::Unsendable(format!(
            "{size} bytes of messages and timers, at most {limit} are allowed"
        )));
    }
    Ok(())
}

fn unstorable<R>(error: CodecError) -> CommandError<R> {
    CommandError::Unstorable(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use dormouse_config::Config;
    use dormouse_journal::store::{Memory, Placed, Retention};
    use dormouse_journal::{Journal, Options};
    use dormouse_kernel::{CommandKey, Fingerprint, ManualClock, Position, SequentialIds, Version, decode};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tokio::runtime::Handle;
    use tokio::time::Instant;

    use super::*;
    use crate::node::Node;
    use crate::test_aggregate::{Tally, TallyCommand};

    async fn registered(change: impl FnOnce(&mut Config)) -> RegisteredType<Tally> {
        let mut config = Config::embedded();
        config.runtime.shards = 1.try_into().unwrap();
        config.commands.recent_keys = 3.try_into().unwrap();
        change(&mut config);
        let retention = Retention { keep_count: 1, max_age: Duration::ZERO, keep_sparse: 0 };
        let journal = Journal::start(Arc::new(Memory::new(retention)), Options::default()).await.unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_000).unwrap()));
        RegisteredType::new(Arc::new(Node::new(
            journal,
            clock,
            Arc::new(SequentialIds::default()),
            Handle::current(),
            config,
            1,
        )))
        .unwrap()
    }

    fn command(numbers: &[i64], look: bool, key: Option<&str>) -> Box<UndecidedCommand<Tally>> {
        let key = key.map(|key| CommandKey::new(key).unwrap());
        Box::new(UndecidedCommand {
            command: TallyCommand::See { numbers: numbers.to_vec(), look },
            name: "See",
            fingerprint: key.is_some().then(|| Fingerprint::of(b"see")),
            options: CommandOptions { key, tenant: Some("acme".to_owned()), ..CommandOptions::default() },
            deadline: Instant::now(),
            sent: Instant::now(),
            key_unused_until: None,
        })
    }

    fn id() -> AggregateId {
        AggregateId::new("a").unwrap()
    }

    fn decide(
        registered: &RegisteredType<Tally>,
        loaded: &LoadedAggregate<Tally>,
        command: Box<UndecidedCommand<Tally>>,
    ) -> Decision<Tally> {
        loaded.decide(registered, &id(), command).unwrap()
    }

    fn apply(
        registered: &RegisteredType<Tally>,
        loaded: &mut LoadedAggregate<Tally>,
        decision: Decision<Tally>,
    ) -> Option<Append> {
        let append = decision.append?;
        loaded.apply(
            &decision.events,
            decision.after,
            &decision.timers,
            &append,
            registered.node.config.commands.recent_keys.get(),
        );
        Some(append)
    }

    #[tokio::test]
    async fn events_are_chained_to_what_came_before_and_to_each_other() {
        let registered = registered(|_| ()).await;
        let mut loaded = LoadedAggregate::new();
        let mut chain = dormouse_kernel::Chain::ROOT;
        for (numbers, key) in [(&[1, 2][..], Some("k")), (&[3][..], None)] {
            let decision = decide(&registered, &loaded, command(numbers, false, key));
            let append = apply(&registered, &mut loaded, decision).unwrap();
            let placed = Placed { first: Position(1), append: Arc::new(append) };
            for row in placed.rows() {
                assert!(row.follows(chain), "{row:?}");
                chain = row.event.chain;
            }
        }
        assert_eq!((loaded.version, loaded.chain), (Version(3), chain));
    }

    #[tokio::test]
    async fn the_command_is_recorded_with_its_first_event_and_its_origin_with_each() {
        let registered = registered(|_| ()).await;
        let decision = decide(&registered, &LoadedAggregate::new(), command(&[1, 2], false, Some("k")));
        let append = decision.append.unwrap();
        let metadata: Vec<Metadata> = append.events.iter().map(|event| decode(&event.metadata).unwrap()).collect();
        let record = metadata[0].command.as_ref().unwrap();
        assert_eq!((&*record.name, record.events), ("See", 2));
        assert_eq!(record.fingerprint, Some(Fingerprint::of(b"see")));
        assert_eq!(decode::<usize>(&record.reply).unwrap(), 0);
        assert!(metadata[1].command.is_none());
        assert!(metadata.iter().all(|metadata| metadata.tenant.as_deref() == Some("acme")));
        assert_ne!(metadata[0].event_id, metadata[1].event_id);
    }

    #[tokio::test]
    async fn a_command_without_events_appends_nothing() {
        let registered = registered(|_| ()).await;
        assert!(decide(&registered, &LoadedAggregate::new(), command(&[], false, Some("k"))).append.is_none());
    }

    #[tokio::test]
    async fn events_that_are_too_large_or_too_many_are_unstorable() {
        let registered = registered(|config| {
            config.journal.batch_events = 2.try_into().unwrap();
            config.journal.event_size_max = "9 B".parse().unwrap();
        })
        .await;
        let refused = |numbers: &[i64]| match LoadedAggregate::<Tally>::new().decide(
            &registered,
            &id(),
            command(numbers, false, None),
        ) {
            Err(CommandError::Unstorable(reason)) => reason,
            Err(error) => panic!("{error:?}"),
            Ok(_) => String::new(),
        };
        assert_eq!(refused(&[1, 1]), "");
        assert!(refused(&[1, 1, 1]).contains("3 events"));
        assert!(refused(&[i64::MAX]).contains("Saw has"), "{}", refused(&[i64::MAX]));
    }

    #[tokio::test]
    async fn an_event_is_never_recorded_before_its_predecessor() {
        let registered = registered(|_| ()).await;
        let mut loaded = LoadedAggregate::new();
        loaded.recorded_at = Timestamp::from_second(2_000).unwrap();
        let append = decide(&registered, &loaded, command(&[1], false, None)).append.unwrap();
        assert_eq!(append.events[0].recorded_at, loaded.recorded_at);
    }

    proptest! {
        /// After any commands the loaded aggregate equals the one that a replay of their rows leads to: state, version,
        /// chain, time and keys.
        #[test]
        fn applying_decisions_and_replaying_them_lead_to_the_same_aggregate(
            commands in vec((vec(-2..3_i64, 0..4), any::<bool>(), proptest::option::of("[a-z]{8}")), 0..12),
            slept_after in 0..12_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let registered = runtime.block_on(registered(|_| ()));
            let (mut live, mut replayed) = (LoadedAggregate::new(), LoadedAggregate::new());
            let mut position = Position(1);
            for (number, (numbers, look, key)) in commands.into_iter().enumerate() {
                let decision = decide(&registered, &live, command(&numbers, look, key.as_deref()));
                if let Some(append) = apply(&registered, &mut live, decision) {
                    let placed = Placed { first: position, append: Arc::new(append) };
                    position = placed.last().next();
                    for row in placed.rows() {
                        replayed.replay(&row, &registered.codec, 3).unwrap();
                    }
                }
                if number == slept_after {
                    live = LoadedAggregate::from_dormant(&live.to_dormant(false).unwrap()).unwrap();
                }
            }
            prop_assert_eq!(live, replayed);
        }
    }
}
