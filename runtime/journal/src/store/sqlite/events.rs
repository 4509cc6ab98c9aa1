//! The events of an aggregate: of one, in a statement of its own, or of those that are asked for at the same time, in
//! one.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, RecordedEvent, Version};
use sqlx::sqlite::SqliteRow;

use super::error;
use super::loads::{Load, Loads, Statements};
use super::read::Scope;
use super::readers::Readers;
use super::row::{self, OF_AGGREGATE, column, signed};
use crate::error::StoreError;

/// Versions of one aggregate that a shared statement asks for, so that a long history holds up nobody else: what
/// follows is read alone. Most aggregates have fewer events, or fewer after their snapshot.
const SHARED_VERSIONS: usize = 64;

/// LEFT JOIN fixes the order, and shows an event that the log has lost as one of NULLs.
const INDEX_TO_LOG: &str = "idx.event_index AS i LEFT JOIN main.events AS e ON e.position = i.position";

/// A statement may see a later state of the index than of the log: what came in between is not lost.
const IN_VIEW: &str = "(e.position IS NOT NULL OR i.position <= (SELECT max(position) FROM main.events))";

/// The joins fix the order: from what is wanted to the index, by version, to the log. Behind the events of all come
/// those of whom the index has more, with numbers below zero.
static SHARED: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|wanted| {
        format!(
            "WITH wanted (number, type, id, after, last) AS (VALUES {wanted})
             SELECT {OF_AGGREGATE}, number
             FROM wanted
             CROSS JOIN idx.event_index AS i ON i.aggregate_type = type AND i.aggregate_id = id
                AND i.version > after AND i.version <= last
             LEFT JOIN main.events AS e ON e.position = i.position
             WHERE {IN_VIEW}
             UNION ALL
             SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, -1 - number
             FROM wanted
             WHERE EXISTS (
                SELECT 1 FROM idx.event_index AS i
                WHERE i.aggregate_type = type AND i.aggregate_id = id AND i.version > last
             )"
        )
    })
});

/// Where the number is in the rows of [`SHARED`], behind the columns of [`OF_AGGREGATE`].
const NUMBER: usize = 9;

static IN_INDEX: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {OF_AGGREGATE} FROM {INDEX_TO_LOG}
         WHERE i.aggregate_type = ?1 AND i.aggregate_id = ?2 AND i.version > ?3 AND i.version <= ?4 AND {IN_VIEW}
         ORDER BY i.version LIMIT ?5"
    )
});

static IN_ALL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT * FROM (
            SELECT {OF_AGGREGATE} FROM {INDEX_TO_LOG}
            WHERE i.aggregate_type = ?1 AND i.aggregate_id = ?2 AND i.version > ?3 AND i.version <= ?4 AND {IN_VIEW}
            ORDER BY i.version LIMIT ?5
         )
         UNION ALL
         SELECT * FROM (
            SELECT {OF_AGGREGATE} FROM main.events AS e
            WHERE e.position > (SELECT position FROM idx.watermark)
              AND e.aggregate_type = ?1 AND e.aggregate_id = ?2 AND e.version > ?3 AND e.version <= ?4
            ORDER BY e.position LIMIT ?5
         )
         ORDER BY 2 LIMIT ?5"
    )
});

/// Finds the events of aggregates.
#[derive(Debug)]
pub(super) struct Events {
    readers: Arc<Readers>,
    shared: Loads<Shared>,
}

/// The events of an aggregate with versions in (after, last], at most `limit`.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) aggregate: AggregateRef,
    pub(super) after: Version,
    pub(super) last: Version,
    pub(super) limit: usize,
}

impl Events {
    pub(super) fn new(readers: Arc<Readers>) -> Self {
        Self { shared: Loads::new(Shared { readers: Arc::clone(&readers) }), readers }
    }

    /// Those that are indexed: the tail has the rest.
    pub(super) async fn indexed(&self, wanted: Wanted) -> Result<Vec<RecordedEvent>, StoreError> {
        let found = self.shared.read(wanted.clone()).await?;
        let mut events = events(&found.rows, &wanted.aggregate)?;
        if found.has_more && events.len() < wanted.limit {
            // A long history; or versions are missing here, and then what follows shows it.
            let after = events.last().map_or(wanted.after, |event| event.version);
            let rest = Wanted { after, limit: wanted.limit - events.len(), ..wanted };
            events.extend(self::events(&self.readers.events(Scope::Index, &rest).await?, &rest.aggregate)?);
        }
        Ok(events)
    }

    /// All that are durable, for those who have no tail.
    pub(super) async fn all(&self, wanted: Wanted) -> Result<Vec<RecordedEvent>, StoreError> {
        events(&self.readers.events(Scope::All, &wanted).await?, &wanted.aggregate)
    }
}

fn events(rows: &[SqliteRow], aggregate: &AggregateRef) -> Result<Vec<RecordedEvent>, StoreError> {
    rows.iter().map(|row| row::read_of(row, aggregate.clone())).collect()
}

impl Readers {
    /// The events of one aggregate.
    async fn events(&self, scope: Scope, wanted: &Wanted) -> Result<Vec<SqliteRow>, StoreError> {
        let sql = if scope == Scope::Index { IN_INDEX.as_str() } else { IN_ALL.as_str() };
        let mut reader = self.borrow_in(scope).await?;
        let rows = sqlx::query(sql)
            .bind(wanted.aggregate.aggregate_type.shared())
            .bind(wanted.aggregate.id.shared())
            .bind(signed(wanted.after.0))
            .bind(signed(wanted.last.0))
            .bind(signed(wanted.limit as u64))
            .fetch_all(&mut reader.connection)
            .await;
        match rows {
            Ok(rows) => {
                reader.give_back();
                Ok(rows)
            }
            Err(failure) => {
                drop(reader);
                // The index or the log: if it is the index, asking it alone shows that.
                if error::is_damage(&failure) && scope == Scope::Index {
                    self.versions(Scope::Index, &[&wanted.aggregate]).await?;
                }
                Err(error::store(failure))
            }
        }
    }

    /// The events of several aggregates, as far as one statement asks for them.
    async fn events_of_all(&self, wanted: &[Wanted]) -> Result<Vec<Found>, StoreError> {
        let mut reader = self.borrow_for_index().await?;
        let mut query = sqlx::query(SHARED.of(wanted.len()));
        for wanted in wanted {
            query = query
                .bind(wanted.aggregate.aggregate_type.shared())
                .bind(wanted.aggregate.id.shared())
                .bind(signed(wanted.after.0))
                .bind(signed(wanted.shared_last().0));
        }
        let rows = query.fetch_all(&mut reader.connection).await.map_err(error::store)?;
        reader.give_back();
        let mut found: Vec<Found> = wanted.iter().map(|_| Found::default()).collect();
        for row in rows {
            let number = column::<i64>(&row, NUMBER)?;
            let is_event = number >= 0;
            let number = usize::try_from(if is_event { number } else { -1 - number }).map_err(error::damaged)?;
            let (Some(wanted), Some(found)) = (wanted.get(number), found.get_mut(number)) else { continue };
            if is_event {
                found.rows.push(row);
            } else {
                found.has_more = wanted.shared_last() < wanted.last;
            }
        }
        Ok(found)
    }
}

impl Wanted {
    /// Up to where a shared statement asks. Versions have no gaps, so that it is no more than `limit`.
    fn shared_last(&self) -> Version {
        self.after.plus(self.limit.min(SHARED_VERSIONS) as u64).min(self.last)
    }
}

/// Reads for several.
#[derive(Debug)]
struct Shared {
    readers: Arc<Readers>,
}

/// What was found for one. The rows are left to whoever asked to decode: they are many tasks, the loader is one; and
/// what is wrong with a row concerns nobody else.
#[derive(Debug, Default)]
struct Found {
    rows: Vec<SqliteRow>,
    /// There are more behind those that were asked for.
    has_more: bool,
}

#[async_trait]
impl Load for Shared {
    type Wanted = Wanted;
    type Found = Found;

    async fn load(&self, wanted: Vec<Wanted>) -> Vec<Result<Found, StoreError>> {
        if wanted.len() > 1 {
            match self.readers.events_of_all(&wanted).await {
                Ok(found) => return found.into_iter().map(Ok).collect(),
                // Of one of them, perhaps.
                Err(StoreError::Damaged(_)) => {}
                Err(failure) => return wanted.iter().map(|_| Err(failure.clone())).collect(),
            }
        }
        let mut found = Vec::with_capacity(wanted.len());
        for wanted in &wanted {
            let rows = self.readers.events(Scope::Index, wanted).await;
            found.push(rows.map(|rows| Found { rows, has_more: false }));
        }
        found
    }
}
