//! Places for keys, wrapping keys, and values to seal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dormouse_config::{Config, JournalUrl, PostgresUrl};
use dormouse_encryption::store::{LiveKey, Memory, Postgres, Sqlite};
use dormouse_encryption::{
    Binding, DataKey, DataKeys, FindKey, KeyId, KeyStore, OpenError, Opened, Options, Subject, SubjectHash, WrapKeys,
    Wrapped, WrappingKeyFile, WrappingKeyId, open, seal_whole,
};
use dormouse_harness::Postgres as PostgresServer;
use dormouse_kernel::Timestamp;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
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

/// A place where keys are kept, and a file with wrapping keys. It can be opened more than once, as by several
/// processes.
pub(crate) struct Place {
    at: At,
    files: TempDir,
}

enum At {
    Memory(Memory),
    Sqlite,
    Postgres(PostgresUrl),
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self::new(At::Memory(Memory::new()))
    }

    pub(crate) fn sqlite() -> Self {
        Self::new(At::Sqlite)
    }

    pub(crate) fn postgres() -> Self {
        Self::new(At::Postgres(postgres_url(&PostgresServer::shared().create_database())))
    }

    fn new(at: At) -> Self {
        let place = Self { at, files: tempfile::tempdir().unwrap() };
        place.new_wrapping_key();
        place
    }

    pub(crate) async fn store(&self) -> Arc<dyn KeyStore> {
        match &self.at {
            At::Memory(memory) => Arc::new(memory.clone()),
            At::Sqlite => Arc::new(Sqlite::open(&self.directory(), 2).await.unwrap()),
            At::Postgres(url) => Arc::new(Postgres::open(url, Postgres::SCHEMA, 4, &limits()).await.unwrap()),
        }
    }

    /// The keys as a process has them, with the wrapping keys that there are now.
    pub(crate) async fn keys(&self) -> DataKeys {
        self.keys_and_wrapping().await.0
    }

    pub(crate) async fn keys_and_wrapping(&self) -> (DataKeys, Arc<WrappingKeyFile>) {
        let wrapping = Arc::new(WrappingKeyFile::open(&self.wrapping_path()).unwrap());
        let kept: Arc<dyn WrapKeys> = Arc::<WrappingKeyFile>::clone(&wrapping);
        (DataKeys::open(self.store().await, kept, Options::default()).await.unwrap(), wrapping)
    }

    pub(crate) fn new_wrapping_key(&self) -> WrappingKeyId {
        WrappingKeyFile::create(&self.wrapping_path(), Timestamp::now()).unwrap()
    }

    /// Removes the lines of all wrapping keys but the last.
    pub(crate) fn remove_old_wrapping_keys(&self) {
        let text = std::fs::read_to_string(self.wrapping_path()).unwrap();
        std::fs::write(self.wrapping_path(), text.lines().last().unwrap()).unwrap();
    }

    pub(crate) fn wrapping_path(&self) -> PathBuf {
        self.files.path().join("wrapping.keys")
    }

    /// Where SQLite has its files.
    pub(crate) fn directory(&self) -> PathBuf {
        self.files.path().join("keys")
    }

    pub(crate) fn url(&self) -> &PostgresUrl {
        match &self.at {
            At::Postgres(url) => url,
            At::Memory(_) | At::Sqlite => unreachable!("there is no server"),
        }
    }

    /// Changes the table past the store.
    pub(crate) async fn harm(&self, sql: &str) {
        match &self.at {
            At::Memory(_) => unreachable!("there is no table"),
            At::Sqlite => {
                let mut connection =
                    SqliteConnectOptions::new().filename(self.directory().join("keys.db")).connect().await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            At::Postgres(url) => {
                let sql = format!("SET search_path = dormouse_keys; {}", sql.replace("x'", "'\\x"));
                PostgresServer::shared().query(url.expose(), &sql);
            }
        }
    }
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

/// Whether a file of a directory, or of those in it, has these bytes.
pub(crate) fn has_bytes(directory: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            has_bytes(&path, bytes)
        } else {
            memchr::memmem::find(&std::fs::read(&path).unwrap(), bytes).is_some()
        }
    })
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(format!("academy/learner/{name}")).unwrap()
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// The same number in each byte.
pub(crate) fn id(number: u8) -> KeyId {
    KeyId::from_bytes(&[number; KeyId::BYTES]).unwrap()
}

pub(crate) fn hash(number: u8) -> SubjectHash {
    SubjectHash::from_bytes(&[number; SubjectHash::BYTES]).unwrap()
}

pub(crate) fn wrapping_key(name: &str) -> WrappingKeyId {
    WrappingKeyId::new(name).unwrap()
}

pub(crate) fn wrapped(by: &str, number: u8) -> Wrapped {
    Wrapped { by: wrapping_key(by), bytes: vec![number; 61] }
}

/// A key with this id, of the subject with this hash.
pub(crate) fn live(key: u8, of: u8) -> LiveKey {
    LiveKey { id: id(key), subject: hash(of), wrapped: wrapped("kek-1", key), created_at: at(i64::from(key)) }
}

const BINDING: Binding<'static> = Binding { aggregate_type: "learner", aggregate_id: "42", version: 1 };

pub(crate) fn seal(key: &DataKey) -> Vec<u8> {
    let mut payload = b"\xa3Ada".to_vec();
    seal_whole(&mut payload, key, &BINDING).unwrap();
    payload
}

pub(crate) fn unseal(sealed: &[u8], keys: &impl FindKey) -> Result<Opened, OpenError> {
    let mut payload = sealed.to_vec();
    let opened = open(&mut payload, keys, &BINDING)?;
    assert_eq!(payload, b"\xa3Ada");
    Ok(opened)
}
