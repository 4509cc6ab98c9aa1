//! An engine on a store that can fail, and short ways to talk to it.

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytesize::ByteSize;
use dormouse_config::{Config, SnapshotStrategy};
use dormouse_engine::{
    Aggregates, CommandError, CommandOptions, DrainReport, Engine, Outcome, QueryError, VersionedState,
};
use dormouse_faults::Faulty;
use dormouse_journal::{Append, Journal, Options, PageLimit, Store};
use dormouse_kernel::{
    AggregateId, AggregateRef, AggregateType, Chain, Clock, CommandKey, EventId, Metadata, NewEvent, Timestamp, Uuid,
    Version, encode,
};
use tokio::task::JoinHandle;

use crate::counter::{Command, Counter, Event, Refused};

/// Longer than any test takes. A test that hangs fails after it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Answer = Result<Outcome<i64>, CommandError<Refused>>;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Arc<Faulty>,
    pub(crate) engine: Engine,
    pub(crate) counters: Aggregates<Counter>,
}

/// The defaults with few shards and no snapshots. No aggregate falls asleep.
pub(crate) fn config() -> Config {
    let mut config = Config::embedded();
    config.runtime.shards = 4.try_into().unwrap();
    config.snapshots.strategy = SnapshotStrategy::Never;
    config
}

/// As above, but an unused aggregate is put to sleep within a millisecond or two.
pub(crate) fn sleepy() -> Config {
    let mut config = config();
    config.passivation.idle_after = Duration::ZERO;
    config.passivation.sweep_interval = Duration::from_millis(1);
    config
}

/// As above, and no dormant bytes stay in memory.
pub(crate) fn forgetful() -> Config {
    let mut config = sleepy();
    config.passivation.dormant_budget = ByteSize::b(0);
    config
}

pub(crate) fn every(threshold: u32, mut config: Config) -> Config {
    config.snapshots.strategy = SnapshotStrategy::EveryN;
    config.snapshots.threshold = threshold.try_into().unwrap();
    config
}

impl World {
    pub(crate) async fn new(config: Config) -> Self {
        Self::on(Faulty::in_memory(), config).await
    }

    pub(crate) async fn on(store: Arc<Faulty>, config: Config) -> Self {
        Self::build(store, config, |builder| builder).await
    }

    pub(crate) async fn at(clock: Arc<dyn Clock>, config: Config) -> Self {
        Self::build(Faulty::in_memory(), config, |builder| builder.clock(clock)).await
    }

    async fn build(
        store: Arc<Faulty>,
        config: Config,
        change: impl FnOnce(dormouse_engine::Builder) -> dormouse_engine::Builder,
    ) -> Self {
        let journal = Journal::start(Arc::clone(&store) as Arc<dyn Store>, Options::default()).await.unwrap();
        let builder = change(Engine::builder(config).aggregate::<Counter>());
        let engine = builder.start(journal).await.unwrap();
        let counters = engine.aggregates::<Counter>().unwrap();
        Self { store, engine, counters }
    }

    /// Stops the engine, and starts another one on the same store.
    pub(crate) async fn restart(self, config: Config) -> Self {
        assert!(self.drain().await.complete);
        Self::on(self.store, config).await
    }

    pub(crate) async fn send(&self, to: &str, command: Command, options: CommandOptions) -> Answer {
        self.counters.execute(id(to), command, options).await
    }

    pub(crate) async fn add(&self, to: &str, by: i64) -> Outcome<i64> {
        self.send(to, Command::Add { by }, CommandOptions::default()).await.unwrap()
    }

    /// Adds under a key.
    pub(crate) async fn add_as(&self, name: &str, to: &str, by: i64) -> Answer {
        self.send(to, Command::Add { by }, keyed(name)).await
    }

    pub(crate) async fn execute(&self, to: &str, command: Command) -> Answer {
        self.send(to, command, CommandOptions::default()).await
    }

    /// Sends a command in a task of its own.
    pub(crate) fn go(&self, to: &str, command: Command, options: CommandOptions) -> JoinHandle<Answer> {
        let (world, to) = (self.clone(), to.to_owned());
        tokio::spawn(async move { world.send(&to, command, options).await })
    }

    pub(crate) async fn read(&self, of: &str) -> Result<VersionedState<Counter>, QueryError> {
        self.counters.state(&id(of)).await
    }

    /// Total and version.
    pub(crate) async fn state(&self, of: &str) -> (i64, u64) {
        let current = self.read(of).await.unwrap();
        (current.state.total, current.version.0)
    }

    pub(crate) fn live(&self) -> usize {
        self.engine.residency()[0].live
    }

    pub(crate) async fn all_asleep(&self) {
        eventually("all sleep", || self.live() == 0).await;
    }

    pub(crate) async fn drain(&self) -> DrainReport {
        self.engine.drain(PATIENCE).await
    }

    /// How many events the aggregate has in the store.
    pub(crate) async fn stored(&self, of: &str) -> u64 {
        self.store.inner().versions(&[aggregate(of)]).await.unwrap()[0].0
    }

    /// Appends an event without the engine.
    pub(crate) async fn smuggle(&self, into: &str, event_type: &'static str) {
        let aggregate = aggregate(into);
        let events = self.engine.journal().history(&aggregate, Version::ZERO, PageLimit::events(1000)).await.unwrap();
        let (expected, chain) =
            events.last().map_or((Version::ZERO, Chain::ROOT), |last| (last.version, last.event.chain));
        let metadata = Metadata {
            event_id: EventId(Uuid::from_u128(7)),
            correlation: None,
            causation: None,
            subject: None,
            tenant: None,
            traceparent: None,
            outgoing: None,
            command: None,
        };
        let mut event = NewEvent {
            event_type: event_type.into(),
            schema_version: 1,
            payload: encode(&Event::Poisoned {}).unwrap().split_off(10),
            metadata: encode(&metadata).unwrap(),
            recorded_at: Timestamp::UNIX_EPOCH,
            chain,
        };
        event.chain = chain.next(&aggregate, expected.next(), None, &event);
        let append = Append { aggregate, expected, key: None, events: vec![event] };
        self.engine.journal().append(append).await.unwrap();
    }
}

pub(crate) fn id(name: &str) -> AggregateId {
    AggregateId::new(name).unwrap()
}

pub(crate) fn aggregate(name: &str) -> AggregateRef {
    AggregateRef::new(AggregateType::new("counter").unwrap(), id(name))
}

pub(crate) fn key(name: &str) -> CommandKey {
    CommandKey::new(name).unwrap()
}

pub(crate) fn keyed(name: &str) -> CommandOptions {
    CommandOptions { key: Some(key(name)), ..CommandOptions::default() }
}

/// Waits until the condition is true.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let came_true = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, came_true).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Polls once. Then the command is in a mailbox, and its answer is open.
pub(crate) async fn sent<F: Future<Output: Debug>>(future: &mut Pin<Box<F>>) {
    let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    assert!(polled.is_pending(), "it was answered at once: {polled:?}");
}

/// Lets the other tasks of the test run, and checks that this future stays pending.
pub(crate) async fn still_waits<F: Future<Output: Debug>>(future: &mut Pin<Box<F>>) {
    for _ in 0..100 {
        sent(future).await;
        tokio::task::yield_now().await;
    }
}

/// Fails if the future takes too long.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("the future hangs")
}
