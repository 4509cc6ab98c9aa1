//! A journal in memory, accounts that write to it, and views.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_config::{Config, JournalUrl, PostgresUrl};
use dormouse_harness::Postgres as PostgresServer;
use dormouse_journal::store::{Memory as MemoryJournal, Retention};
use dormouse_journal::{Append, Journal, PageLimit};
use dormouse_kernel::{
    Aggregate, AggregateId, AggregateRef, AggregateType, Chain, EventCodec, EventId, Metadata, NewEvent, Position,
    Timestamp, Uuid, Version, encode,
};
use dormouse_projections::store::{Memory, Postgres};
use dormouse_projections::{Document, DocumentAt, Key, Options, Progress, Projections, View, ViewStore};

use crate::bank::{Account, AccountEvent, Balance, Balances, Defect, Everything, Expected, balances};

/// Longer than any step of these tests, and short enough for a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn journal() -> Journal {
    let retention = Retention { keep_count: 1, max_age: Duration::from_secs(1), keep_sparse: 0 };
    let store = Arc::new(MemoryJournal::new(retention));
    Journal::start(store, dormouse_journal::Options::default()).await.unwrap()
}

/// Everything is retried almost at once.
pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.supervision.restarts = 3;
    options.supervision.backoff_min = Duration::from_millis(1);
    options.supervision.backoff_max = Duration::from_millis(2);
    options
}

pub(crate) fn batches_of(events: usize) -> Options {
    Options { batch_events: events.try_into().unwrap(), ..options() }
}

pub(crate) fn memory() -> Arc<dyn ViewStore> {
    Arc::new(Memory::new())
}

/// A new database.
pub(crate) fn postgres_url() -> PostgresUrl {
    match PostgresServer::shared().create_database().parse() {
        Ok(JournalUrl::Postgres(url)) => url,
        other => panic!("not a PostgreSQL URL: {other:?}"),
    }
}

/// Views with as few connections as possible, because many tests share one server.
pub(crate) async fn postgres(url: &PostgresUrl) -> Arc<dyn ViewStore> {
    let mut limits = Config::embedded().journal.postgres;
    limits.connections_min = 0;
    Arc::new(Postgres::open(url, &[], Postgres::SCHEMA, 2, &limits).await.unwrap())
}

pub(crate) async fn run(journal: &Journal, store: Arc<dyn ViewStore>, options: Options) -> Projections {
    let builder = Projections::builder(journal.clone(), store, options);
    builder.projection::<Balances>().projection::<Everything>().start().await.unwrap()
}

/// Appends events to the journal as an application would.
pub(crate) struct Teller {
    journal: Journal,
    codec: EventCodec<AccountEvent>,
    /// Version and chain of each account.
    accounts: HashMap<AggregateRef, (Version, Chain)>,
}

impl Teller {
    pub(crate) fn new(journal: &Journal) -> Self {
        Self { journal: journal.clone(), codec: EventCodec::new().unwrap(), accounts: HashMap::new() }
    }

    /// Appends these events as one command, and returns the position of the last one.
    pub(crate) async fn write(&mut self, id: &str, events: &[AccountEvent]) -> Position {
        let append = self.append(id, events);
        self.journal.append(append).await.unwrap().last
    }

    pub(crate) async fn deposit(&mut self, id: &str, amount: i64) -> Position {
        self.write(id, &[AccountEvent::Deposited { amount }]).await
    }

    /// Appends an event of an unknown type.
    pub(crate) async fn write_gibberish(&mut self, id: &str) -> Position {
        let append = self.chained(account(id), [("Gibberish".to_owned(), 1, vec![0xc0], metadata())]);
        self.journal.append(append).await.unwrap().last
    }

    /// Appends an event of an aggregate that no projection reads.
    pub(crate) async fn write_elsewhere(&mut self) -> Position {
        let aggregate = AggregateRef::new(AggregateType::new("elsewhere").unwrap(), AggregateId::new("x").unwrap());
        let append = self.chained(aggregate, [("Whatever".to_owned(), 1, vec![0xc0], metadata())]);
        self.journal.append(append).await.unwrap().last
    }

    pub(crate) fn append(&mut self, id: &str, events: &[AccountEvent]) -> Append {
        let encoded: Vec<_> = events
            .iter()
            .map(|event| {
                let encoded = self.codec.encode(event).unwrap();
                let is_damaged = *event == AccountEvent::Poison { defect: Defect::HasDamagedMetadata };
                let metadata = if is_damaged { vec![0xc1] } else { metadata() };
                (encoded.name.to_owned(), encoded.schema_version, encoded.fields, metadata)
            })
            .collect();
        self.chained(account(id), encoded)
    }

    fn chained(
        &mut self,
        aggregate: AggregateRef,
        events: impl IntoIterator<Item = (String, u32, Vec<u8>, Vec<u8>)>,
    ) -> Append {
        let (version, chain) = self.accounts.entry(aggregate.clone()).or_insert((Version::ZERO, Chain::ROOT));
        let expected = *version;
        let mut appended = Vec::new();
        for (name, schema_version, payload, metadata) in events {
            let mut event = NewEvent {
                event_type: name.into(),
                schema_version,
                payload,
                metadata,
                recorded_at: Timestamp::UNIX_EPOCH,
                chain: *chain,
            };
            *version = version.next();
            event.chain = chain.next(&aggregate, *version, None, &event);
            *chain = event.chain;
            appended.push(event);
        }
        Append { aggregate, expected, key: None, events: appended }
    }
}

fn metadata() -> Vec<u8> {
    let metadata = Metadata {
        event_id: EventId(Uuid::new_v4()),
        correlation: None,
        causation: None,
        subject: None,
        tenant: None,
        traceparent: None,
        outgoing: None,
        command: None,
    };
    encode(&metadata).unwrap()
}

pub(crate) fn account(id: &str) -> AggregateRef {
    AggregateRef::new(AggregateType::new(Account::TYPE).unwrap(), AggregateId::new(id).unwrap())
}

pub(crate) async fn head(journal: &Journal) -> Position {
    journal.ping().await.unwrap()
}

/// Waits until both views have all events.
pub(crate) async fn caught_up(projections: &Projections, journal: &Journal) {
    let head = head(journal).await;
    projections.view::<Balances>().unwrap().wait_for(head, PATIENCE).await.unwrap();
    projections.view::<Everything>().unwrap().wait_for(head, PATIENCE).await.unwrap();
}

/// Checks the view of [`Balances`], for all expected keys and some others.
pub(crate) async fn assert_balances(projections: &Projections, journal: &Journal) {
    let expected = balances(journal).await;
    let view = projections.view::<Balances>().unwrap();
    let log = journal.read_log(Position::ZERO, PageLimit::ALL).await.unwrap();
    let mut keys: Vec<String> = log.iter().map(|event| event.aggregate.id.to_string()).collect();
    keys.extend(expected.keys().cloned());
    keys.extend(["shared".to_owned(), "nobody".to_owned()]);
    keys.sort();
    keys.dedup();
    let mut found = Expected::new();
    for key in keys {
        if let Some(Document { content, position }) = get(&view, &key).await.document {
            found.insert(key, (content, position));
        }
    }
    assert_eq!(found, expected);
}

pub(crate) async fn get(view: &View<Balances>, key: &str) -> DocumentAt<Balance> {
    view.get(&Key::from(key)).await.unwrap()
}

pub(crate) async fn all(projections: &Projections) -> DocumentAt<Balance> {
    projections.view::<Everything>().unwrap().get(&Key::from("all")).await.unwrap()
}

/// Waits for a change of the progress.
pub(crate) async fn becomes(view: &View<Balances>, what: impl FnMut(&Progress) -> bool) -> Progress {
    let mut progress = view.progress();
    let reached = tokio::time::timeout(PATIENCE, progress.wait_for(what)).await;
    reached.expect("it is reached in time").expect("the sender exists").clone()
}
