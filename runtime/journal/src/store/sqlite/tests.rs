//! Tests of the files, which the conformance suite cannot see: recovery, damage, several owners.

mod batches;
mod damage;
mod loads;
mod opening;
mod owners;
mod recovery;
mod snapshots;

use crate::page::PageLimit;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_config::Config;
use dormouse_kernel::{
    AggregateId, AggregateRef, AggregateType, Chain, CommandKey, Epoch, NewEvent, Position, RecordedEvent, Timestamp,
    Version,
};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

use super::Sqlite;
use crate::append::{Append, AppendKey, Placed};
use crate::error::OpenError;
use crate::store::{Access, Retention, Store};

const RETENTION: Retention = Retention { keep_count: 3, max_age: Duration::from_secs(3600), keep_sparse: 0 };

/// A directory with a journal.
struct Place {
    directory: TempDir,
    config: dormouse_config::Journal,
}

/// A store that owns the log, with its epoch and head.
struct Owner {
    store: Sqlite,
    epoch: Epoch,
    head: Position,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), config: Config::embedded().journal }
    }

    /// A place whose tail holds this many events.
    fn with_tail(events: usize) -> Self {
        let mut place = Self::new();
        place.config.index_tail_events = events.try_into().unwrap();
        place
    }

    fn with_tail_bytes(bytes: u64) -> Self {
        let mut place = Self::new();
        place.config.index_tail.0 = bytes;
        place
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    async fn open(&self, access: Access) -> Result<Sqlite, OpenError> {
        Sqlite::open(self.path(), &self.config, RETENTION, access).await
    }

    async fn owner(&self) -> Owner {
        let store = self.open(Access::Own).await.unwrap();
        let ownership = store.acquire(None).await.unwrap();
        Owner { store, epoch: ownership.epoch, head: ownership.head }
    }

    async fn reader(&self) -> Sqlite {
        self.open(Access::Read).await.unwrap()
    }

    /// Runs SQL on one of the files, on a connection of another program.
    async fn tamper(&self, file: &str, sql: &'static str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path().join(file));
        let mut connection: SqliteConnection = options.connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn ask(&self, file: &str, sql: &'static str) -> i64 {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path().join(file));
        let mut connection: SqliteConnection = options.connect().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }
}

impl Owner {
    /// Appends one batch: for each pair, a command of the aggregate with this number, with this many events.
    async fn append(&mut self, commands: &[(usize, usize)]) -> Result<(), crate::error::CommitError> {
        let aggregates: Vec<AggregateRef> = commands.iter().map(|(number, _)| aggregate(*number)).collect();
        let mut versions = self.store.versions(&aggregates).await.unwrap();
        let mut batch = Vec::new();
        let mut first = self.head.next();
        for (index, (number, events)) in commands.iter().enumerate() {
            let version = versions[index];
            let placed = Placed { first, append: Arc::new(append(*number, version, *events)) };
            first = placed.last().next();
            for (later, (other, _)) in commands.iter().enumerate().skip(index + 1) {
                if other == number {
                    versions[later] = placed.append.last_version();
                }
            }
            batch.push(placed);
        }
        self.store.commit(self.epoch, &batch).await?;
        self.head = Position(first.0 - 1);
        Ok(())
    }

    /// Appends one event to each aggregate up to a number, several times.
    async fn append_to_each(&mut self, aggregates: usize, times: usize) {
        let commands: Vec<(usize, usize)> = (0..aggregates).map(|number| (number, 1)).collect();
        for _ in 0..times {
            for chunk in commands.chunks(1024) {
                self.append(chunk).await.unwrap();
            }
        }
    }

    /// Ends without closing anything.
    fn crash(self) {
        drop(self.store);
    }
}

fn aggregate(number: usize) -> AggregateRef {
    let id = AggregateId::new(format!("o-{number:05}")).unwrap();
    AggregateRef::new(AggregateType::new("order").unwrap(), id)
}

fn key(number: usize, version: Version) -> CommandKey {
    CommandKey::new(format!("key-{number}-{version}")).unwrap()
}

/// A command with a key, named after the version of its first event. Its chain is not a real one, because no store
/// checks it.
fn append(number: usize, expected: Version, events: usize) -> Append {
    let event = |index: usize| NewEvent {
        event_type: if index.is_multiple_of(2) { "placed".into() } else { format!("changed-{number}").into() },
        schema_version: 1 + index as u32,
        payload: vec![7; index % 5],
        metadata: vec![9, number as u8],
        recorded_at: Timestamp::from_microsecond(1_700_000_000_000_000 + index as i64).unwrap(),
        chain: Chain(u128::from(expected.0 * 10_007 + (number * 1_000_003 + index) as u64).to_le_bytes()),
    };
    Append {
        aggregate: aggregate(number),
        expected,
        key: Some(AppendKey { key: key(number, expected.next()), known_new: true }),
        events: (0..events).map(event).collect(),
    }
}

/// All reads of these aggregates are right: each has this many commands with one event.
async fn assert_histories(store: &Sqlite, aggregates: usize, times: usize) {
    let all: Vec<AggregateRef> = (0..aggregates).map(aggregate).collect();
    let versions = store.versions(&all).await.unwrap();
    assert!(versions.iter().all(|version| version.0 == times as u64), "{versions:?}");
    for number in (0..aggregates).step_by(1 + aggregates / 20) {
        let events = store.read_aggregate(&all[number], Version::ZERO, PageLimit::events(10_000)).await.unwrap();
        let expected: Vec<_> = (0..times as u64).map(|before| append(number, Version(before), 1)).collect();
        assert_eq!(events.len(), times);
        for (event, expected) in events.iter().zip(expected) {
            assert_is(event, &expected, 0);
            let found = store.find_command(&all[number], &key(number, event.version)).await.unwrap();
            assert_eq!(found, Some(event.version));
        }
    }
    assert_eq!(store.versions(&[aggregate(aggregates)]).await.unwrap(), [Version::ZERO]);
}

fn assert_is(event: &RecordedEvent, append: &Append, index: usize) {
    assert_eq!(event.aggregate, append.aggregate);
    assert_eq!(event.version, append.expected.plus(index as u64 + 1));
    assert_eq!(event.command_key.as_ref(), append.command_key().filter(|_| index == 0));
    assert_eq!(event.event, append.events[index]);
}

/// Waits until a background task has made `holds` true, for a minute at least.
async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..3_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the condition never held");
}
