//! The events of one aggregate, or of several aggregates in one statement.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Version};
use dormouse_storage::to_sql;
use futures_util::TryStreamExt;

use super::error;
use super::loads::{Load, Loads, Statements};
use super::pages::{self, Rows};
use super::read::Scope;
use super::readers::Readers;
use super::row::{EventRow, OF_AGGREGATE, column};
use crate::error::StoreError;
use crate::page::{Page, PageLimit, Room};

/// Versions of one aggregate that a shared statement reads, so that a long history does not delay other reads: later
/// versions are read alone. Most aggregates have fewer events, or fewer after their snapshot.
const SHARED_VERSIONS: usize = 64;

/// Bytes of events that a shared statement reads in all: some tens of kilobytes for each aggregate.
const SHARED_BYTES: usize = 4 << 20;

/// LEFT JOIN fixes the order, and shows an event that the log has lost as a row of NULLs.
const INDEX_TO_LOG: &str = "idx.event_index AS i LEFT JOIN main.events AS e ON e.position = i.position";

/// A statement may see a later state of the index than of the log. Events after the end of the log that it sees are
/// left out, because they are not lost.
const IN_VIEW: &str = "(e.position IS NOT NULL OR i.position <= (SELECT max(position) FROM main.events))";

/// The joins fix the order: from the wanted aggregates to the index, by version, to the log. The aggregates of which
/// the index has more events follow after all events, with negative numbers.
static SHARED: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|wanted| {
        let columns = &*OF_AGGREGATE;
        format!(
            "WITH wanted (number, type, id, after, last) AS (VALUES {wanted})
             SELECT {columns}, number
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

/// The column of the number in the rows of [`SHARED`], after those of [`OF_AGGREGATE`].
const NUMBER: usize = 9;

static IN_INDEX: LazyLock<String> = LazyLock::new(|| {
    let columns = &*OF_AGGREGATE;
    format!(
        "SELECT {columns} FROM {INDEX_TO_LOG}
         WHERE i.aggregate_type = ?1 AND i.aggregate_id = ?2 AND i.version > ?3 AND i.version <= ?4 AND {IN_VIEW}
         ORDER BY i.version LIMIT ?5"
    )
});

static IN_ALL: LazyLock<String> = LazyLock::new(|| {
    let columns = &*OF_AGGREGATE;
    format!(
        "SELECT * FROM (
            SELECT {columns} FROM {INDEX_TO_LOG}
            WHERE i.aggregate_type = ?1 AND i.aggregate_id = ?2 AND i.version > ?3 AND i.version <= ?4 AND {IN_VIEW}
            ORDER BY i.version LIMIT ?5
         )
         UNION ALL
         SELECT * FROM (
            SELECT {columns} FROM main.events AS e
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

/// The events of an aggregate with versions in (after, last], within `limit`.
#[derive(Clone, Debug)]
pub(super) struct VersionRange {
    pub(super) aggregate: AggregateRef,
    pub(super) after: Version,
    pub(super) last: Version,
    pub(super) limit: PageLimit,
}

impl Events {
    pub(super) fn new(readers: Arc<Readers>) -> Self {
        Self { shared: Loads::new(Shared { readers: Arc::clone(&readers) }), readers }
    }

    /// The indexed events of an aggregate. The tail has the rest.
    pub(super) async fn indexed(&self, wanted: VersionRange) -> Result<Page, StoreError> {
        let found = self.shared.read(wanted.clone()).await?;
        let mut page = page(found.rows, &wanted.aggregate)?;
        if found.has_more && !page.is_cut {
            // The history is long or has large events. Or versions are missing here, and the next read shows that.
            let after = page.last().map_or(wanted.after, |event| event.version);
            let rest = VersionRange { after, ..wanted };
            let room = Room::beside(&page, rest.limit);
            let more = self::page(self.readers.events(Scope::Index, &rest, room).await?, &rest.aggregate)?;
            page.events.extend(more.events);
            page.is_cut = more.is_cut;
        }
        Ok(page)
    }

    /// All durable events of an aggregate, for a process without a tail.
    pub(super) async fn all(&self, wanted: VersionRange) -> Result<Page, StoreError> {
        page(self.readers.events(Scope::All, &wanted, Room::new(wanted.limit)).await?, &wanted.aggregate)
    }
}

/// Consumes the rows one by one, so that a page is not in memory twice.
fn page(rows: Rows, aggregate: &AggregateRef) -> Result<Page, StoreError> {
    let Rows { rows, is_cut } = rows;
    let events = rows.into_iter().map(|row| row.read_of(aggregate.clone())).collect::<Result<_, _>>()?;
    Ok(Page { events, is_cut })
}

impl Readers {
    /// Rows of one aggregate, as far as there is room.
    async fn events(&self, scope: Scope, wanted: &VersionRange, room: Room) -> Result<Rows, StoreError> {
        let sql = if scope == Scope::Index { IN_INDEX.as_str() } else { IN_ALL.as_str() };
        let mut reader = self.borrow_in(scope).await?;
        let query = sqlx::query(sql)
            .bind(wanted.aggregate.aggregate_type.shared())
            .bind(wanted.aggregate.id.shared())
            .bind(to_sql(wanted.after.0))
            .bind(to_sql(wanted.last.0))
            .bind(to_sql(room.events() as u64));
        match pages::read(&mut reader.connection, query, room).await {
            Ok(rows) => {
                reader.give_back();
                Ok(rows)
            }
            Err(failure) => {
                drop(reader);
                // The index or the log is damaged. A read of the index alone shows whether it is the index.
                if error::is_damage(&failure) && scope == Scope::Index {
                    self.versions(Scope::Index, &[&wanted.aggregate]).await?;
                }
                Err(error::store(failure))
            }
        }
    }

    /// Rows of several aggregates, as many as one statement reads.
    async fn events_of_all(&self, wanted: &[VersionRange]) -> Result<Vec<Loaded>, StoreError> {
        let mut reader = self.borrow_for_index().await?;
        let mut query = sqlx::query(SHARED.of(wanted.len()));
        for wanted in wanted {
            query = query
                .bind(wanted.aggregate.aggregate_type.shared())
                .bind(wanted.aggregate.id.shared())
                .bind(to_sql(wanted.after.0))
                .bind(to_sql(wanted.shared_last().0));
        }
        let mut found: Vec<Partial> = wanted.iter().map(|wanted| Partial::new(wanted.limit)).collect();
        let (mut left, mut is_whole) = (SHARED_BYTES, true);
        let mut rows = query.fetch(&mut reader.connection);
        while let Some(row) = rows.try_next().await.map_err(error::store)? {
            let number = column::<i64>(&row, NUMBER)?;
            let is_event = number >= 0;
            let number = usize::try_from(if is_event { number } else { -1 - number }).map_err(error::damaged)?;
            let (Some(wanted), Some(found)) = (wanted.get(number), found.get_mut(number)) else { continue };
            if !is_event {
                found.loaded.has_more |= wanted.shared_last() < wanted.last;
                continue;
            }
            let event = EventRow::new(row);
            let Some(rest) = left.checked_sub(event.size_bytes()) else {
                // The rest is read in a statement for each aggregate.
                is_whole = false;
                break;
            };
            left = rest;
            found.take(event);
        }
        drop(rows);
        reader.give_back();
        Ok(found.into_iter().map(|found| found.end(is_whole)).collect())
    }
}

impl VersionRange {
    /// The last version that a shared statement reads. Versions have no gaps, so these are at most `limit` events.
    fn shared_last(&self) -> Version {
        self.after.plus(self.limit.events.min(SHARED_VERSIONS) as u64).min(self.last)
    }
}

/// The shared load of events.
#[derive(Debug)]
struct Shared {
    readers: Arc<Readers>,
}

/// The rows of one aggregate. Each reader decodes its own: the readers are many tasks and the loader is one, and a
/// damaged row must fail only its reader.
#[derive(Debug, Default)]
struct Loaded {
    rows: Rows,
    /// There may be more events after these.
    has_more: bool,
}

/// The rows of one aggregate while a shared statement is read.
struct Partial {
    loaded: Loaded,
    room: Room,
    /// Later rows are not taken.
    has_ended: bool,
}

impl Partial {
    fn new(limit: PageLimit) -> Self {
        Self { loaded: Loaded::default(), room: Room::new(limit), has_ended: false }
    }

    fn take(&mut self, event: EventRow) {
        if self.has_ended {
            return;
        }
        // The reader reads a large event by itself.
        let is_large = event.missing_bytes().is_some();
        if is_large || !self.room.take(event.size_bytes()) {
            self.has_ended = true;
            self.loaded.has_more |= is_large;
            self.loaded.rows.is_cut |= !is_large;
            return;
        }
        self.loaded.rows.rows.push(event);
    }

    /// `is_whole`: the statement was read to its end.
    fn end(mut self, is_whole: bool) -> Loaded {
        self.loaded.rows.is_cut |= self.room.is_used_up();
        self.loaded.has_more |= !is_whole;
        self.loaded
    }
}

#[async_trait]
impl Load for Shared {
    type Request = VersionRange;
    type Output = Loaded;

    async fn load(&self, wanted: Vec<VersionRange>) -> Vec<Result<Loaded, StoreError>> {
        if wanted.len() > 1 {
            match self.readers.events_of_all(&wanted).await {
                Ok(found) => return found.into_iter().map(Ok).collect(),
                // Perhaps only one of them is damaged.
                Err(StoreError::Damaged(_)) => {}
                Err(failure) => return wanted.iter().map(|_| Err(failure.clone())).collect(),
            }
        }
        let mut found = Vec::with_capacity(wanted.len());
        for wanted in &wanted {
            let rows = self.readers.events(Scope::Index, wanted, Room::new(wanted.limit)).await;
            found.push(rows.map(|rows| Loaded { rows, has_more: false }));
        }
        found
    }
}
