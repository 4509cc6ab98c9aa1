//! The events of an aggregate: of one, in a statement of its own, or of those that are asked for at the same time, in
//! one.

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

/// Versions of one aggregate that a shared statement asks for, so that a long history holds up nobody else: what
/// follows is read alone. Most aggregates have fewer events, or fewer after their snapshot.
const SHARED_VERSIONS: usize = 64;

/// Bytes of events that a shared statement brings for all together: some tens of kilobytes for each.
const SHARED_BYTES: usize = 4 << 20;

/// LEFT JOIN fixes the order, and shows an event that the log has lost as one of NULLs.
const INDEX_TO_LOG: &str = "idx.event_index AS i LEFT JOIN main.events AS e ON e.position = i.position";

/// A statement may see a later state of the index than of the log: what came in between is not lost.
const IN_VIEW: &str = "(e.position IS NOT NULL OR i.position <= (SELECT max(position) FROM main.events))";

/// The joins fix the order: from what is wanted to the index, by version, to the log. Behind the events of all come
/// those of whom the index has more, with numbers below zero.
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

/// Where the number is in the rows of [`SHARED`], behind the columns of [`OF_AGGREGATE`].
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
pub(super) struct Wanted {
    pub(super) aggregate: AggregateRef,
    pub(super) after: Version,
    pub(super) last: Version,
    pub(super) limit: PageLimit,
}

impl Events {
    pub(super) fn new(readers: Arc<Readers>) -> Self {
        Self { shared: Loads::new(Shared { readers: Arc::clone(&readers) }), readers }
    }

    /// Those that are indexed: the tail has the rest.
    pub(super) async fn indexed(&self, wanted: Wanted) -> Result<Page, StoreError> {
        let found = self.shared.read(wanted.clone()).await?;
        let mut page = page(found.rows, &wanted.aggregate)?;
        if found.has_more && !page.is_cut {
            // A long history, or large events; or versions are missing here, and then what follows shows it.
            let after = page.last().map_or(wanted.after, |event| event.version);
            let rest = Wanted { after, ..wanted };
            let room = Room::beside(&page, rest.limit);
            let more = self::page(self.readers.events(Scope::Index, &rest, room).await?, &rest.aggregate)?;
            page.events.extend(more.events);
            page.is_cut = more.is_cut;
        }
        Ok(page)
    }

    /// All that are durable, for those who have no tail.
    pub(super) async fn all(&self, wanted: Wanted) -> Result<Page, StoreError> {
        page(self.readers.events(Scope::All, &wanted, Room::new(wanted.limit)).await?, &wanted.aggregate)
    }
}

/// Each row goes as its event comes, so that a page is not there twice.
fn page(rows: Rows, aggregate: &AggregateRef) -> Result<Page, StoreError> {
    let Rows { rows, is_cut } = rows;
    let events = rows.into_iter().map(|row| row.read_of(aggregate.clone())).collect::<Result<_, _>>()?;
    Ok(Page { events, is_cut })
}

impl Readers {
    /// The events of one aggregate, as far as there is room.
    async fn events(&self, scope: Scope, wanted: &Wanted, room: Room) -> Result<Rows, StoreError> {
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
                .bind(to_sql(wanted.after.0))
                .bind(to_sql(wanted.shared_last().0));
        }
        let mut found: Vec<Gathered> = wanted.iter().map(|wanted| Gathered::new(wanted.limit)).collect();
        let (mut left, mut is_whole) = (SHARED_BYTES, true);
        let mut rows = query.fetch(&mut reader.connection);
        while let Some(row) = rows.try_next().await.map_err(error::store)? {
            let number = column::<i64>(&row, NUMBER)?;
            let is_event = number >= 0;
            let number = usize::try_from(if is_event { number } else { -1 - number }).map_err(error::damaged)?;
            let (Some(wanted), Some(found)) = (wanted.get(number), found.get_mut(number)) else { continue };
            if !is_event {
                found.found.has_more |= wanted.shared_last() < wanted.last;
                continue;
            }
            let event = EventRow::new(row);
            let Some(rest) = left.checked_sub(event.size_bytes()) else {
                // The rest is read for each by itself.
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

impl Wanted {
    /// Up to where a shared statement asks. Versions have no gaps, so that it is no more than `limit`.
    fn shared_last(&self) -> Version {
        self.after.plus(self.limit.events.min(SHARED_VERSIONS) as u64).min(self.last)
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
    rows: Rows,
    /// There are, or may be, more behind those that were asked for, or brought.
    has_more: bool,
}

/// What a shared statement brings for one.
struct Gathered {
    found: Found,
    room: Room,
    /// What follows is not taken.
    has_ended: bool,
}

impl Gathered {
    fn new(limit: PageLimit) -> Self {
        Self { found: Found::default(), room: Room::new(limit), has_ended: false }
    }

    fn take(&mut self, event: EventRow) {
        if self.has_ended {
            return;
        }
        // A large event is read by who wants it.
        let is_large = event.missing_bytes().is_some();
        if is_large || !self.room.take(event.size_bytes()) {
            self.has_ended = true;
            self.found.has_more |= is_large;
            self.found.rows.is_cut |= !is_large;
            return;
        }
        self.found.rows.rows.push(event);
    }

    /// `is_whole`: the statement has brought everything.
    fn end(mut self, is_whole: bool) -> Found {
        self.found.rows.is_cut |= self.room.is_used_up();
        self.found.has_more |= !is_whole;
        self.found
    }
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
            let rows = self.readers.events(Scope::Index, wanted, Room::new(wanted.limit)).await;
            found.push(rows.map(|rows| Found { rows, has_more: false }));
        }
        found
    }
}
