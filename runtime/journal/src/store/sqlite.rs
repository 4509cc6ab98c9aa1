//! The log in SQLite: one file that only grows at its end, and files derived from it.
//!
//! `journal.db` holds the events by position and nothing else, so a commit writes a few pages at the end and syncs
//! once. `index.db` says where the events of an aggregate are. It is written after the commits, sorted and in bulk.
//! Events that it lacks are in memory (the tail) while this process owns the log, and always in the log itself; readers
//! combine both. `snapshots.db` is a cache. Losing either derived file, or the tail, loses nothing.
//!
//! Background tasks: the [`Indexer`] and the [`WalWatch`], which end with [`close`](Store::close) or when the store is
//! dropped, and the [loaders](loads), which end when no read waits.

mod error;
mod events;
mod files;
mod holder;
mod index;
mod indexer;
mod latest;
mod loads;
mod log;
mod open;
mod pages;
mod read;
mod readers;
mod recovery;
mod row;
mod schema;
mod select;
mod snapshots;
mod tail;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, CommandKey, Epoch, Position, Version};
use dormouse_storage::sqlite::WalWatch;

use super::{Access, Connections, Migrated, Ownership, Placed, Retention, Store};
use crate::error::{CommitError, OpenError, StoreError};
use crate::filter::LogFilter;
use crate::page::{Page, PageLimit, Room};
use crate::snapshot::{AsOf, Snapshot};
use events::{Events, VersionRange};
use files::Files;
use indexer::Indexer;
use log::Log;
use read::Scope;
use readers::Readers;
use snapshots::Snapshots;
use tail::{Bound, Tail};

/// How long a commit waits for room in the tail before it is refused. A full tail takes about a second to index, so
/// this long means that the index cannot be written at all.
const BACKPRESSURE: Duration = Duration::from_secs(10);

/// The journal in a directory.
#[derive(Debug)]
pub struct Sqlite {
    files: Files,
    access: Access,
    bound: Bound,
    log: Log,
    tail: Arc<Tail>,
    readers: Arc<Readers>,
    events: Events,
    snapshots: Snapshots,
    /// `None` after [`close`](Store::close), or if the journal was opened for reading.
    wals: Mutex<Option<WalWatch>>,
    /// Runs while this process owns the log.
    indexer: Mutex<Option<Indexer>>,
}

impl Sqlite {
    /// Opens the journal in a directory. An owner creates the directory and the files if they are missing; a reader
    /// needs them.
    ///
    /// # Errors
    /// If the journal cannot be created, written or read, is not a journal, or was written by a newer program.
    pub async fn open(
        directory: &Path,
        config: &dormouse_config::Journal,
        retention: Retention,
        access: Access,
    ) -> Result<Self, OpenError> {
        let files = Files::new(directory);
        let readers = Arc::new(Readers::new(files.clone(), config.read_connections.get()));
        let snapshots = Snapshots::new(files.clone(), retention, Arc::clone(&readers));
        match access {
            Access::Own => {
                open::log(&files, config.takeover_timeout).await?;
                open::derived(&files, &snapshots).await?;
            }
            Access::Read => open::beside_owner(&files, &readers).await?,
        }
        let wals = (access == Access::Own).then(|| {
            WalWatch::start([("journal", files.log()), ("index", files.index()), ("snapshots", files.snapshots())])
        });
        let bound = Bound {
            events: config.index_tail_events.get(),
            bytes: usize::try_from(config.index_tail.as_u64()).unwrap_or(usize::MAX),
        };
        Ok(Self {
            log: Log::new(files.clone(), config.takeover_timeout),
            tail: Arc::new(Tail::new(bound)),
            files,
            access,
            bound,
            events: Events::new(Arc::clone(&readers)),
            readers,
            snapshots,
            wals: Mutex::new(wals),
            indexer: Mutex::default(),
        })
    }

    /// Brings the log in a directory up to date. The derived files need no migration: they are made again.
    ///
    /// # Errors
    /// As with [`open`](Self::open).
    pub async fn migrate(directory: &Path, config: &dormouse_config::Journal) -> Result<Migrated, OpenError> {
        open::log(&Files::new(directory), config.takeover_timeout).await
    }

    fn indexer(&self) -> Option<Indexer> {
        self.indexer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes that another process owns the log. From now on reads use only the files.
    fn lose(&self) {
        self.tail.retire();
        drop(self.indexer());
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError> {
        if self.access == Access::Read {
            return Err(StoreError::Unavailable("the journal was opened for reading".to_owned()));
        }
        let ownership = match self.log.acquire(previous).await {
            Err(StoreError::Fenced) => {
                self.lose();
                return Err(StoreError::Fenced);
            }
            outcome => outcome?,
        };
        self.recover(ownership.head).await?;
        self.log.confirm();
        Ok(ownership)
    }

    async fn commit(&self, epoch: Epoch, batch: &[Placed]) -> Result<(), CommitError> {
        if tokio::time::timeout(BACKPRESSURE, self.tail.has_room()).await.is_err() {
            return Err(CommitError::Refused("the index cannot be written, and the tail is full".to_owned()));
        }
        match self.log.append(epoch, batch).await {
            Ok(()) => self.tail.push(batch),
            Err(CommitError::Fenced) => {
                self.lose();
                return Err(CommitError::Fenced);
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    async fn versions(&self, aggregates: &[AggregateRef]) -> Result<Vec<Version>, StoreError> {
        let (scope, in_tail) = match self.tail.versions(aggregates) {
            Some(versions) => (Scope::Index, versions),
            None => (Scope::All, vec![None; aggregates.len()]),
        };
        let others = aggregates.iter().zip(&in_tail).filter(|(_, version)| version.is_none());
        let others: Vec<&AggregateRef> = others.map(|(aggregate, _)| aggregate).collect();
        let mut found = self.readers.versions(scope, &others).await?.into_iter();
        Ok(in_tail.into_iter().map(|version| version.or_else(|| found.next()).unwrap_or(Version::ZERO)).collect())
    }

    async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, StoreError> {
        match self.tail.command(aggregate, key) {
            Some(Some(version)) => Ok(Some(version)),
            Some(None) => self.readers.find_command(Scope::Index, aggregate, key).await,
            None => self.readers.find_command(Scope::All, aggregate, key).await,
        }
    }

    async fn read_aggregate(
        &self,
        aggregate: &AggregateRef,
        after: Version,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let mut wanted = VersionRange { aggregate: aggregate.clone(), after, last: Version(u64::MAX), limit };
        // The tail first: an append that leaves it meanwhile is in the index by then.
        let Some(part) = self.tail.appends(aggregate, after, limit.events) else {
            return self.events.all(wanted).await;
        };
        wanted.last = part.start.unwrap_or(wanted.last);
        let indexed = if wanted.last <= after { Page::default() } else { self.events.indexed(wanted).await? };
        if indexed.is_cut {
            return Ok(indexed);
        }
        let room = Room::beside(&indexed, limit);
        let in_tail = Placed::page(part.appends.iter(), after, Position::ZERO, room);
        let mut events = indexed.events;
        events.extend(in_tail.events);
        Ok(Page { events, is_cut: in_tail.is_cut })
    }

    async fn read_log(&self, after: Position, limit: PageLimit) -> Result<Page, StoreError> {
        self.readers.log(after, limit).await
    }

    async fn select_log(
        &self,
        after: Position,
        until: Position,
        filter: &LogFilter,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        self.readers.select_log(after, until, filter, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.readers.head().await
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.readers.epoch().await
    }

    async fn save_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        if self.access == Access::Read {
            return Err(StoreError::Unavailable("the journal was opened for reading".to_owned()));
        }
        self.snapshots.save(snapshots).await
    }

    async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError> {
        self.snapshots.find(aggregate, as_of).await
    }

    async fn snapshotted(
        &self,
        aggregate_type: &AggregateType,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<AggregateId>, StoreError> {
        self.snapshots.owners(aggregate_type, after, limit).await
    }

    async fn count_snapshotted(&self, aggregate_type: &AggregateType) -> Result<u64, StoreError> {
        self.snapshots.count_owners(aggregate_type).await
    }

    fn connections(&self) -> Connections {
        self.readers.connections()
    }

    async fn close(&self) {
        drop(self.wals.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Readers first: the connection that is closed last should be able to write, to empty the WAL.
        self.readers.close().await;
        if let Some(indexer) = self.indexer() {
            indexer.finish().await;
        }
        self.snapshots.close().await;
        self.log.close().await;
    }
}
