//! Places for journals, and histories to append.

use std::sync::Arc;
use std::time::Duration;

use dormouse_config::{Config, JournalUrl, PostgresUrl};
use dormouse_harness::Postgres as PostgresServer;
use dormouse_journal::store::{Access, Memory, Postgres, Retention, Sqlite};
use dormouse_journal::{
    Anchor, Append, AppendError, AppendKey, Committed, Health, Journal, Options, PageLimit, Store, Submission,
};
use dormouse_kernel::{
    AggregateId, AggregateRef, AggregateType, Chain, CommandKey, NewEvent, Position, RecordedEvent, Timestamp, Uuid,
    Version,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Longer than anything here takes, and short enough for a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the tests, which take a [`Place`], in modules `memory`, `sqlite` and `postgres`. Tests after `durable:` need a
/// place that outlasts its handle, and do not run in memory.
macro_rules! on_every_store {
    ($($test:ident),+ $(,)? $(; durable: $($durable:ident),+ $(,)?)?) => {
        on_every_store!(@in memory: $($test),+);
        on_every_store!(@in sqlite: $($test),+ $(, $($durable),+)?);
        on_every_store!(@in postgres: $($test),+ $(, $($durable),+)?);
    };
    (@in $store:ident: $($test:ident),+) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::support::Place::$store()).await;
                }
            )+
        }
    };
}

/// Where a journal is stored. It can be opened more than once.
pub(crate) enum Place {
    Memory(Arc<Memory>),
    Sqlite(TempDir),
    Postgres(PostgresUrl),
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::new(Memory::new(retention())))
    }

    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(postgres_url(&PostgresServer::shared().create_database()))
    }

    /// Opens the same storage once more. In memory there is only one store.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        let config = config();
        match self {
            Self::Memory(memory) => Arc::clone(memory) as _,
            Self::Sqlite(directory) => {
                let opened = Sqlite::open(directory.path(), &config.journal, retention(), Access::Own);
                Arc::new(opened.await.unwrap())
            }
            Self::Postgres(url) => {
                let opened = Postgres::open(url, &config.journal, retention(), Access::Own);
                Arc::new(opened.await.unwrap())
            }
        }
    }

    pub(crate) async fn journal(&self) -> Journal {
        start(self.store().await).await
    }
}

pub(crate) fn postgres_url(url: &str) -> PostgresUrl {
    match url.parse() {
        Ok(JournalUrl::Postgres(url)) => url,
        other => panic!("not a PostgreSQL URL: {other:?}"),
    }
}

/// The default, with few connections: many tests share one server.
pub(crate) fn config() -> Config {
    let mut config = Config::embedded();
    config.journal.postgres.connections_min = 0;
    config.journal.postgres.connections_max = 6.try_into().unwrap();
    config
}

pub(crate) fn retention() -> Retention {
    Retention { keep_count: 5, max_age: days(90), keep_sparse: 16 }
}

pub(crate) fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}

pub(crate) async fn start(store: Arc<dyn Store>) -> Journal {
    Journal::start(store, Options::default()).await.unwrap()
}

pub(crate) fn account(id: &str) -> AggregateRef {
    aggregate("account", id)
}

pub(crate) fn aggregate(aggregate_type: &str, id: &str) -> AggregateRef {
    AggregateRef::new(AggregateType::new(aggregate_type).unwrap(), AggregateId::new(id).unwrap())
}

pub(crate) fn key(key: &str) -> CommandKey {
    CommandKey::new(key).unwrap()
}

/// A time some seconds after a fixed one, for events and snapshots at different times.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// What the actor of an aggregate knows: the end of its history, to continue it. A clone is another actor with the same
/// belief.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) aggregate: AggregateRef,
    pub(crate) version: Version,
    pub(crate) chain: Chain,
}

impl History {
    pub(crate) fn of(id: &str) -> Self {
        Self::of_aggregate(account(id))
    }

    pub(crate) fn of_aggregate(aggregate: AggregateRef) -> Self {
        Self { aggregate, version: Version::ZERO, chain: Chain::ROOT }
    }

    pub(crate) fn anchor(&self) -> Anchor {
        Anchor { version: self.version, chain: self.chain }
    }

    /// A command with this many events.
    pub(crate) fn next(&mut self, events: usize) -> Append {
        self.command(None, vec![b"payload".to_vec(); events])
    }

    /// A command with one event of this type.
    pub(crate) fn named(&mut self, event_type: &'static str) -> Append {
        let before = self.chain;
        let mut append = self.next(1);
        append.events[0].event_type = event_type.into();
        self.chain = before.next(&self.aggregate, self.version, None, &append.events[0]);
        append.events[0].chain = self.chain;
        append
    }

    /// A command with a key and this many events.
    pub(crate) fn keyed(&mut self, name: &str, known_new: bool, events: usize) -> Append {
        let key = AppendKey { key: key(name), known_new };
        self.command(Some(key), vec![b"payload".to_vec(); events])
    }

    /// A command with events that have these payloads, each recorded a second after the one before.
    pub(crate) fn command(&mut self, key: Option<AppendKey>, payloads: Vec<Vec<u8>>) -> Append {
        let expected = self.version;
        let mut events = Vec::new();
        for payload in payloads {
            let first_key = key.as_ref().map(|key| &key.key).filter(|_| self.version == expected);
            let version = self.version.next();
            let mut event = NewEvent {
                event_type: "deposited".into(),
                schema_version: 3,
                payload,
                // Every event differs from all others: in production it has an id.
                metadata: Uuid::new_v4().into_bytes().to_vec(),
                recorded_at: at(i64::try_from(version.0).unwrap()),
                chain: Chain::ROOT,
            };
            event.chain = self.chain.next(&self.aggregate, version, first_key, &event);
            self.version = version;
            self.chain = event.chain;
            events.push(event);
        }
        Append { aggregate: self.aggregate.clone(), expected, key, events }
    }
}

/// Submits all appends, and only then waits for the answers. The results have the order of the appends.
pub(crate) async fn submit_all(
    journal: &Journal,
    appends: impl IntoIterator<Item = Append>,
) -> Vec<Result<Committed, AppendError>> {
    let mut answers = Vec::new();
    for append in appends {
        answers.push(submit(journal, append).await);
    }
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.unwrap());
    }
    outcomes
}

/// Submits without waiting for the answer.
pub(crate) async fn submit(journal: &Journal, append: Append) -> oneshot::Receiver<Result<Committed, AppendError>> {
    let (answer, answered) = oneshot::channel();
    let submission = Submission::append(append, None, move |outcome| answer.send(outcome).unwrap());
    journal.submit(submission).await;
    answered
}

/// The whole log, which must have no gaps.
pub(crate) async fn whole_log(journal: &Journal) -> Vec<RecordedEvent> {
    let events = journal.read_log(Position::ZERO, PageLimit::ALL).await.unwrap().events;
    assert!(events.iter().zip(1..).all(|(event, position)| event.position == Position(position)));
    events
}

/// All events of an aggregate, whose chain must hold.
pub(crate) async fn whole_history(journal: &Journal, aggregate: &AggregateRef) -> Vec<RecordedEvent> {
    journal.events_after(aggregate, Anchor::START, PageLimit::ALL).await.unwrap().events
}

pub(crate) async fn becomes(journal: &Journal, what: impl FnMut(&Health) -> bool) {
    let mut health = journal.health();
    let reached = tokio::time::timeout(PATIENCE, health.wait_for(what)).await;
    reached.expect("the journal's health changes in time").expect("the writer is alive");
}
