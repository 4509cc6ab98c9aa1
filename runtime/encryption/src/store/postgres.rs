//! Keys in PostgreSQL: in a schema of their own, on the journal's server or, better, on another, so that a backup of
//! the events does not have them.
//!
//! Limit: PostgreSQL keeps the bytes of a destroyed key in dead rows until a VACUUM and a later write to their page, in
//! the write-ahead log until its segments are recycled, in replicas, and in backups. They are still wrapped. To make
//! them useless for ever, rotate the wrapping key and remove the old one.

use async_trait::async_trait;
use dormouse_config::PostgresUrl;
use dormouse_kernel::Timestamp;
use dormouse_storage::postgres::{Purpose, QueryFuture, Schema, Server, Sessions};
use dormouse_storage::to_sql;
use sqlx::{AssertSqlSafe, PgConnection, query, query_as};

use super::row::{self, COLUMNS, KeyColumns, microseconds};
use super::{DestroyedKey, Error, KeyCounts, KeyStore, LiveKey, StoredKey};
use crate::id::{KeyId, SubjectHash};
use crate::wrapping::{Wrapped, WrappingKeyId};

/// The table of the keys. The lock is "dorkeys_" in ASCII.
static KEYS: Schema = Schema {
    versions: "dormouse_keys_schema",
    tables: &["data_key"],
    lock: 0x646f_726b_6579_735f,
    migrations: &[include_str!("postgres/1_keys.sql")],
};

/// What was written must be durable when its statement returns, whatever the server's default.
const USE: Purpose = Purpose {
    name: "dormouse keys",
    settings: &[("synchronous_commit", "on")],
    statement_timeout: None,
    is_urgent: true,
};

/// Keeps keys in a PostgreSQL database. All reads are from the primary: a replica may still have a key that was
/// destroyed.
#[derive(Debug)]
pub struct Postgres {
    sessions: Sessions,
}

impl Postgres {
    /// The schema of the keys, unless another one is named.
    pub const SCHEMA: &'static str = "dormouse_keys";

    /// Opens the keys in a schema, which is created if it is missing.
    ///
    /// # Errors
    /// If the server cannot be reached, or the schema belongs to another program, is newer than this binary, or may not
    /// be created.
    pub async fn open(
        url: &PostgresUrl,
        schema: &str,
        connections: u32,
        limits: &dormouse_config::Postgres,
    ) -> Result<Self, Error> {
        let unavailable = |reason: String| Error::Unavailable(format!("{url}: {reason}"));
        Schema::check_name(schema).map_err(|failure| unavailable(failure.into_reason()))?;
        let server = Server::new(url, limits).map_err(|failure| unavailable(failure.into_reason()))?;
        let sessions = Sessions::new(server.in_schema(schema), USE, connections);
        let mut session = sessions.open().await.map_err(|failure| unavailable(failure.into_reason()))?;
        KEYS.migrate(&mut session, url, schema).await?;
        session.keep();
        Ok(Self { sessions })
    }
}

#[async_trait]
impl KeyStore for Postgres {
    async fn get(&self, ids: &[KeyId]) -> Result<Vec<StoredKey>, Error> {
        let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
        let rows = self.sessions.ask(ids, |connection, ids| {
            let sql = format!("SELECT {COLUMNS} FROM data_key WHERE id = ANY($1)");
            Box::pin(async move { Ok(query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(connection).await?) })
        });
        let rows: Vec<KeyColumns> = rows.await?;
        rows.into_iter().map(row::stored).collect()
    }

    async fn find(&self, subject: SubjectHash) -> Result<Option<LiveKey>, Error> {
        let row = self.sessions.ask(subject, |connection, subject| Box::pin(live_row(connection, *subject))).await?;
        row.map(row::live).transpose()
    }

    async fn create(&self, key: &LiveKey) -> Result<LiveKey, Error> {
        for _ in 0..CREATION_ATTEMPTS {
            if let Some(row) = self.sessions.ask(key, create).await? {
                return row::live(row);
            }
        }
        Err(Error::Unavailable("the key is destroyed each time that it is created".to_owned()))
    }

    async fn destroy(&self, subject: SubjectHash, now: Timestamp) -> Result<Vec<DestroyedKey>, Error> {
        row::destroyed(self.sessions.ask((subject, now), destroy).await?)
    }

    async fn wrapped_by_others(
        &self,
        current: &WrappingKeyId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<LiveKey>, Error> {
        // No id is shorter than any other.
        let after = after.map_or(Vec::new(), |id| id.as_bytes().to_vec());
        let rows = self.sessions.ask((current, after, limit), |connection, (current, after, limit)| {
            let sql = format!(
                "SELECT {COLUMNS} FROM data_key WHERE destroyed_at IS NULL AND wrapping_key <> $1 AND id > $2
                 ORDER BY id LIMIT $3"
            );
            Box::pin(async move {
                let page = query_as(AssertSqlSafe(sql)).bind(current.as_str()).bind(after);
                Ok(page.bind(to_sql(*limit as u64)).fetch_all(connection).await?)
            })
        });
        let rows: Vec<KeyColumns> = rows.await?;
        rows.into_iter().map(row::live).collect()
    }

    async fn rewrap(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, Error> {
        let done = self.sessions.ask((id, from, to), |connection, (id, from, to)| {
            Box::pin(async move {
                let update = query(
                    "UPDATE data_key SET wrapping_key = $2, wrapped = $3
                     WHERE id = $1 AND wrapping_key = $4 AND wrapped = $5",
                );
                let update = update.bind(&id.as_bytes()[..]).bind(to.by.as_str()).bind(&to.bytes[..]);
                Ok(update.bind(from.by.as_str()).bind(&from.bytes[..]).execute(connection).await?)
            })
        });
        Ok(done.await?.rows_affected() == 1)
    }

    async fn counts(&self) -> Result<KeyCounts, Error> {
        let rows = self.sessions.ask((), |connection, ()| {
            Box::pin(async {
                let counts = query_as("SELECT wrapping_key, count(*) FROM data_key GROUP BY wrapping_key");
                Ok(counts.fetch_all(connection).await?)
            })
        });
        row::counts(rows.await?)
    }

    async fn close(&self) {
        self.sessions.close().await;
    }
}

/// A key may be destroyed between its creation and the read. Nobody destroys the keys of one subject that often.
const CREATION_ATTEMPTS: usize = 8;

async fn live_row(
    connection: &mut PgConnection,
    subject: SubjectHash,
) -> Result<Option<KeyColumns>, dormouse_storage::postgres::Failure> {
    let sql = format!("SELECT {COLUMNS} FROM data_key WHERE subject = $1 AND destroyed_at IS NULL");
    Ok(query_as(AssertSqlSafe(sql)).bind(&subject.as_bytes()[..]).fetch_optional(connection).await?)
}

/// A second statement reads the live key: the first does not see a key that another session commits while it waits.
fn create<'q>(connection: &'q mut PgConnection, key: &'q &LiveKey) -> QueryFuture<'q, Option<KeyColumns>> {
    Box::pin(async move {
        let LiveKey { id, subject, wrapped, created_at } = key;
        let insert = query(
            "INSERT INTO data_key (id, subject, wrapping_key, wrapped, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
        );
        let insert = insert.bind(&id.as_bytes()[..]).bind(&subject.as_bytes()[..]).bind(wrapped.by.as_str());
        insert.bind(&wrapped.bytes[..]).bind(microseconds(*created_at)).execute(&mut *connection).await?;
        live_row(connection, *subject).await
    })
}

fn destroy<'q>(
    connection: &'q mut PgConnection,
    (subject, now): &'q (SubjectHash, Timestamp),
) -> QueryFuture<'q, Vec<KeyColumns>> {
    Box::pin(async move {
        let update = query(
            "UPDATE data_key SET wrapping_key = NULL, wrapped = NULL, destroyed_at = $2
             WHERE subject = $1 AND destroyed_at IS NULL",
        );
        update.bind(&subject.as_bytes()[..]).bind(microseconds(*now)).execute(&mut *connection).await?;
        let sql = format!("SELECT {COLUMNS} FROM data_key WHERE subject = $1");
        Ok(query_as(AssertSqlSafe(sql)).bind(&subject.as_bytes()[..]).fetch_all(connection).await?)
    })
}
