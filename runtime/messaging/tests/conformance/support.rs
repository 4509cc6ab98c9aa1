//! Places for queues, and rows to keep in them.

use std::path::Path;
use std::sync::Arc;

use dormouse_config::{Config, JournalUrl, PostgresUrl};
use dormouse_harness::Postgres as PostgresServer;
use dormouse_kernel::{
    AggregateId, AggregateRef, AggregateType, Epoch, Position, Schedule, TimerName, Timestamp, Version,
};
use dormouse_messaging::store::{
    Changes, FailedAttempt, JobId, JobRow, JobState, Memory, Postgres, ShardProgress, Sqlite, TimerPlace, TimerRow,
};
use dormouse_messaging::{ConsumerName, QueueStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

/// Runs the tests, which take a [`Place`], in modules `memory`, `sqlite` and `postgres`. Tests after `durable:` need a
/// database, and do not run in memory.
macro_rules! on_every_store {
    ($($test:ident),* $(,)? $(; durable: $($durable:ident),+ $(,)?)?) => {
        on_every_store!(@in memory: $($test),*);
        on_every_store!(@in sqlite: $($test,)* $($($durable),+)?);
        on_every_store!(@in postgres: $($test,)* $($($durable),+)?);
    };
    (@in $store:ident: $($test:ident),* $(,)?) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::support::Place::$store()).await;
                }
            )*
        }
    };
}

/// A place where queues are kept. It can be opened more than once.
pub(crate) enum Place {
    Memory(Memory),
    Sqlite(TempDir),
    Postgres(PostgresUrl),
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self::Memory(Memory::new())
    }

    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(postgres_url(&PostgresServer::shared().create_database()))
    }

    /// Opens the place once more.
    pub(crate) async fn store(&self) -> Arc<dyn QueueStore> {
        match self {
            Self::Memory(memory) => Arc::new(memory.open_again()),
            Self::Sqlite(directory) => Arc::new(Sqlite::open(directory.path(), 2).await.unwrap()),
            Self::Postgres(url) => Arc::new(Postgres::open(url, Postgres::SCHEMA, 4, &limits()).await.unwrap()),
        }
    }

    /// Opens the place once more, as the owner with the first epoch.
    pub(crate) async fn owned(&self) -> Arc<dyn QueueStore> {
        let store = self.store().await;
        store.acquire(Epoch(1)).await.unwrap();
        store
    }

    /// Changes the tables past the store.
    pub(crate) async fn harm(&self, sql: &str) {
        match self {
            Self::Memory(_) => unreachable!("there are no tables"),
            Self::Sqlite(directory) => {
                let mut connection = connect(directory.path()).await;
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Postgres(url) => {
                let sql = format!("SET search_path = dormouse_queue; {sql}");
                PostgresServer::shared().query(url.expose(), &sql);
            }
        }
    }
}

pub(crate) async fn connect(directory: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(directory.join("queue.db")).connect().await.unwrap()
}

pub(crate) fn postgres_url(url: &str) -> PostgresUrl {
    match url.parse() {
        Ok(JournalUrl::Postgres(url)) => url,
        other => panic!("not a PostgreSQL URL: {other:?}"),
    }
}

/// The default limits, but connections are opened only when needed, because many tests share one server.
pub(crate) fn limits() -> dormouse_config::Postgres {
    let mut limits = Config::embedded().journal.postgres;
    limits.connections_min = 0;
    limits
}

pub(crate) fn consumer(name: &str) -> ConsumerName {
    ConsumerName::new(name).unwrap()
}

/// The consumer of most tests.
pub(crate) fn mailer() -> ConsumerName {
    consumer("handler/mailer")
}

pub(crate) fn aggregate(aggregate_type: &str, id: &str) -> AggregateRef {
    AggregateRef::new(AggregateType::new(aggregate_type).unwrap(), AggregateId::new(id).unwrap())
}

pub(crate) fn order(id: &str) -> AggregateRef {
    aggregate("order", id)
}

pub(crate) fn timer_name(name: &str) -> TimerName {
    TimerName::new(name).unwrap()
}

/// A time some seconds after a fixed one.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(crate) fn id(position: u64) -> JobId {
    JobId { position: Position(position), part: 0 }
}

pub(crate) fn waiting(seconds: i64) -> JobState {
    JobState::Waiting { due: at(seconds) }
}

/// A job of an order, which has failed once.
pub(crate) fn job(position: u64, sequence: &str, state: JobState) -> JobRow {
    JobRow {
        id: id(position),
        sequence: order(sequence),
        version: Version(position),
        subject: "OrderPlaced".to_owned(),
        state,
        attempts: vec![FailedAttempt { at: at(0), error: "the mail server does not answer".to_owned() }],
        attempts_allowed: 5,
        payload: None,
    }
}

/// A timer of an order that is due once.
pub(crate) fn timer(seconds: i64, order_id: &str, name: &str) -> TimerRow {
    TimerRow {
        place: TimerPlace { due: at(seconds), aggregate: order(order_id), name: timer_name(name) },
        position: Position(7),
        set_at: Version(2),
        schedule: Schedule::Once { due: at(seconds) },
        payload: b"cancel".to_vec(),
    }
}

pub(crate) fn low(shards: u16, shard: u16, low: u64) -> ShardProgress {
    ShardProgress { shard, shards, low: Position(low) }
}

pub(crate) fn put(put: impl IntoIterator<Item = JobRow>) -> Changes {
    Changes { put: put.into_iter().collect(), ..Changes::default() }
}

pub(crate) fn set(timers: impl IntoIterator<Item = TimerRow>) -> Changes {
    Changes { set_timers: timers.into_iter().collect(), ..Changes::default() }
}

/// The positions of jobs, in their order.
pub(crate) fn positions(jobs: &[JobRow]) -> Vec<u64> {
    jobs.iter().map(|job| job.id.position.0).collect()
}
