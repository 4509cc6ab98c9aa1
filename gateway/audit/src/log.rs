//! The handle of the process that writes the log.

mod opening;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use std::{fmt, io, thread};

use metrics::counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::warn;

use self::writer::Writer;
use crate::bounds::{Bounds, Notes};
use crate::chain::Head;
use crate::damage::Damage;
use crate::entry::{Action, Entry, Outcome, Who};
use crate::key::KeyError;
use crate::limits::{NOTES_WAITING, RECORDS_WAITING};
use crate::metric;

/// The audit log, opened for writing. Clones are handles of the same log. The last one that is dropped ends it as
/// [`close`](Self::close) does, but without waiting.
#[derive(Clone)]
pub struct AuditLog(Arc<Handle>);

struct Handle {
    directory: PathBuf,
    queue: Sender<Message>,
    records: Arc<Semaphore>,
    notes_waiting: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// What handles and the writer share.
struct Shared {
    notes: Mutex<Notes>,
    /// The last durable entry.
    head: Mutex<Head>,
}

/// What the writer is asked for. The channel has no bound of its own: each entry in it has a permit.
enum Message {
    Record(Entry, oneshot::Sender<Result<Head, RecordError>>, OwnedSemaphorePermit),
    Note(Entry, OwnedSemaphorePermit),
    /// A note was suppressed, the first since the last report: the writer reports the number after a while.
    Suppressed,
    Close(oneshot::Sender<()>),
}

/// The log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes it.
    #[error("{}: another process writes the audit log: each server needs a directory of its own", directory.display())]
    Locked {
        /// The directory of the log.
        directory: PathBuf,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It was changed since it was written.
    #[error(
        "the audit log in {} is damaged: {damage}; keep its files for an analysis, and move them away, so that a new log \
         begins", directory.display()
    )]
    Damaged {
        /// The directory of the log.
        directory: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A file cannot be read or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// An entry was not recorded: what it says must not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The log has no room. It has again when segments were moved away.
    #[error("the audit log has {max_bytes} bytes and may not grow: move its oldest segments away, or raise its limit")]
    Full {
        /// The limit.
        max_bytes: u64,
    },
    /// The disk has refused the entry. What was written of it was taken back: a later one may succeed.
    #[error("the audit log cannot be written: {0}")]
    Unavailable(String),
    /// The disk has failed in a way after which nobody knows what it has. The log is not written any more until it is
    /// opened again, which shows what is there.
    #[error("the audit log has failed, and is not written until the server is started again: {0}")]
    Broken(String),
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
}

impl AuditLog {
    /// Opens the log in a directory, or begins one. The directory and the key are made if there is no log yet. A last line
    /// that is not complete, because the process ended while it was writing, is cut off: nobody was told that it is
    /// durable. The last segment is verified; [`verify`](crate::verify) looks at all of them.
    ///
    /// # Errors
    /// Another process writes the log, the key cannot be used, or the last segment was changed.
    pub fn open(directory: &Path, key: &Path, max_bytes: u64) -> Result<Self, OpenError> {
        Self::open_with(directory, key, Bounds::of(max_bytes))
    }

    pub(crate) fn open_with(directory: &Path, key: &Path, bounds: Bounds) -> Result<Self, OpenError> {
        metric::describe();
        let opened = opening::open(directory, key)?;
        let (queue, messages) = mpsc::channel();
        let shared = Arc::new(Shared { notes: Mutex::new(Notes::new(&bounds)), head: Mutex::new(opened.head) });
        let cut_bytes = opened.cut_bytes;
        let writer = Writer::new(directory.to_owned(), opened, bounds, Arc::clone(&shared));
        let thread = thread::Builder::new().name("audit-log".to_owned());
        thread
            .spawn(move || writer.run(&messages))
            .map_err(|source| OpenError::Io { path: directory.to_owned(), source })?;
        let log = Self(Arc::new(Handle {
            directory: directory.to_owned(),
            queue,
            records: Arc::new(Semaphore::new(RECORDS_WAITING)),
            notes_waiting: Arc::new(Semaphore::new(NOTES_WAITING)),
            shared,
        }));
        if cut_bytes > 0 {
            warn!(bytes = cut_bytes, directory = %directory.display(), "the last line of the audit log was not complete, and was cut off");
            log.note(Entry::new(Action::LineCut, Who::default(), Outcome::Done).with("bytes", cut_bytes));
        }
        Ok(log)
    }

    /// Records an entry, and returns its place when it is durable. If the future is dropped, the entry may be written
    /// nevertheless.
    ///
    /// # Errors
    /// It was not recorded. If the log is [`Broken`](RecordError::Broken), it may be there nevertheless.
    pub async fn record(&self, entry: Entry) -> Result<Head, RecordError> {
        let permit = Arc::clone(&self.0.records).acquire_owned().await.map_err(|_| RecordError::Closed)?;
        let (done, outcome) = oneshot::channel();
        let message = Message::Record(entry.bounded(), done, permit);
        self.0.queue.send(message).map_err(|_| RecordError::Closed)?;
        outcome.await.unwrap_or(Err(RecordError::Closed))
    }

    /// Notes an entry, and never waits. If there are too many of its action, or the log is nearly full, it is counted only:
    /// an entry says later how many there were.
    pub fn note(&self, entry: Entry) {
        let action = entry.action;
        let is_admitted = self.notes().admit(action, Instant::now());
        let permit = Arc::clone(&self.0.notes_waiting).try_acquire_owned().ok().filter(|_| is_admitted);
        match permit {
            // If the log is closed, nobody reads what is noted.
            Some(permit) => _ = self.0.queue.send(Message::Note(entry.bounded(), permit)),
            None => {
                counter!(metric::SUPPRESSED, "action" => action.name()).increment(1);
                if self.notes().suppress(action, 1) {
                    _ = self.0.queue.send(Message::Suppressed);
                }
            }
        }
    }

    /// The last durable entry.
    #[must_use]
    pub fn head(&self) -> Head {
        *self.0.shared.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of the log.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// Writes what was noted, and ends the log. Returns the head.
    pub async fn close(&self) -> Head {
        let (done, closed) = oneshot::channel();
        if self.0.queue.send(Message::Close(done)).is_ok() {
            // The writer has ended if it drops the channel.
            let _ended = closed.await;
        }
        self.head()
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.0.shared.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AuditLog").field("directory", &self.0.directory).finish_non_exhaustive()
    }
}
