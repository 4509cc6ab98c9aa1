//! A commit batch, from submissions to answers. Everything but the two lookups in the store is pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use dormouse_kernel::{AggregateRef, CommandKey, Position, Version};
use lru::LruCache;
use tokio::sync::oneshot;

use super::submission::{PendingAppend, PredecessorFailed, Request, Submission};
use crate::append::{Append, Committed, Placed};
use crate::append_session::AppendSession;
use crate::error::{AppendError, StoreError};
use crate::metric::CommitMetrics;
use crate::store::Store;

/// Most bytes of events in one batch: 1,024 events of the largest allowed size would make a statement that no store
/// takes (PostgreSQL's limit is 1 GiB). A single command may exceed it.
const BATCH_BYTES: usize = 16 << 20;

/// A submission of the batch, in the order of submission.
enum Entry {
    Append {
        pending: PendingAppend,
        committed: Option<Committed>,
    },
    /// An append with no events, or with more than a batch holds. It is refused in its order, so that it breaks its
    /// append session no earlier.
    WrongSize {
        pending: PendingAppend,
        error: AppendError,
    },
    Barrier {
        session: Option<Arc<AppendSession>>,
        /// The answer, once everything before the barrier is decided. An append behind it must not change the answer.
        decided: Option<Result<(), PredecessorFailed>>,
        answer: Box<dyn FnOnce(Result<(), PredecessorFailed>) + Send>,
    },
}

/// Submissions that are decided together, by at most one commit.
#[derive(Default)]
pub(super) struct CommitBatch {
    entries: Vec<Entry>,
}

impl CommitBatch {
    /// Takes submissions from the front: as many events as fit one batch, up to a request to close.
    pub(super) fn gather(
        waiting: &mut VecDeque<Submission>,
        batch_events: usize,
    ) -> (Self, Option<oneshot::Sender<()>>) {
        let mut entries = Vec::with_capacity(waiting.len());
        let (mut events, mut bytes) = (0, 0);
        while let Some(Submission(request)) = waiting.pop_front() {
            match request {
                Request::Append(pending) => {
                    let size = pending.append.events.len();
                    if size == 0 || size > batch_events {
                        let error = AppendError::WrongSize { events: size, limit: batch_events };
                        entries.push(Entry::WrongSize { pending, error });
                        continue;
                    }
                    let size_bytes = pending.append.size_bytes();
                    if events > 0 && (events + size > batch_events || bytes + size_bytes > BATCH_BYTES) {
                        waiting.push_front(Submission(Request::Append(pending)));
                        break;
                    }
                    events += size;
                    bytes += size_bytes;
                    entries.push(Entry::Append { pending, committed: None });
                }
                Request::Barrier { session, answer } => entries.push(Entry::Barrier { session, decided: None, answer }),
                Request::Close(closed) => return (Self { entries }, Some(closed)),
            }
        }
        (Self { entries }, None)
    }

    /// Whether the batch has an append of this append session.
    pub(super) fn has_appends_of(&self, session: &Arc<AppendSession>) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::Append { pending, .. } => pending.belongs_to(session),
            Entry::WrongSize { .. } | Entry::Barrier { .. } => false,
        })
    }

    pub(super) fn has_appends(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::Append { .. }))
    }

    /// Removes and refuses the appends that the journal contradicts: the version is not the expected one, the command
    /// key exists already, or the append builds on a refused one. Afterwards `versions` includes the appends that are
    /// left. If these are not committed, `versions` is wrong.
    pub(super) async fn check(
        &mut self,
        store: &dyn Store,
        versions: &mut LruCache<AggregateRef, Version>,
    ) -> Result<(), StoreError> {
        let unknown = self.unknown(versions);
        let doubtful = self.doubtful_keys();
        look_up_versions(unknown, store, versions).await?;
        let mut keys = KnownKeys::look_up(doubtful, store).await?;
        for entry in std::mem::take(&mut self.entries) {
            match entry {
                Entry::Append { pending, .. } => self.check_append(pending, versions, &mut keys),
                Entry::WrongSize { pending, error } => pending.refuse(error),
                Entry::Barrier { session, answer, .. } => {
                    self.entries.push(Entry::Barrier { decided: Some(decide(session.as_deref())), session, answer });
                }
            }
        }
        Ok(())
    }

    fn check_append(
        &mut self,
        pending: PendingAppend,
        versions: &mut LruCache<AggregateRef, Version>,
        keys: &mut KnownKeys,
    ) {
        let append = &*pending.append;
        // All were looked up before; the cache is too small for the batch if one was dropped since.
        let Some(actual) = versions.peek_mut(&append.aggregate) else {
            return pending.refuse(AppendError::Unavailable(
                "the batch has more aggregates than the writer can remember".to_owned(),
            ));
        };
        if pending.has_failed_predecessor() {
            pending.refuse(AppendError::PredecessorFailed);
        } else if let Some(first) = keys.first(append) {
            pending.refuse(AppendError::KnownKey { first });
        } else if append.expected != *actual {
            let error = AppendError::VersionConflict { expected: append.expected, actual: *actual };
            pending.refuse(error);
        } else {
            *actual = append.last_version();
            keys.remember(append);
            self.entries.push(Entry::Append { pending, committed: None });
        }
    }

    /// The aggregates whose version is not cached. Those that are cached become the most recently used.
    fn unknown(&self, versions: &mut LruCache<AggregateRef, Version>) -> HashSet<AggregateRef> {
        let aggregates = self.appends().map(|append| &append.aggregate);
        aggregates.filter(|aggregate| versions.get(*aggregate).is_none()).cloned().collect()
    }

    /// The keys to look up: those that the submitter does not know to be new.
    fn doubtful_keys(&self) -> Vec<(AggregateRef, CommandKey)> {
        let keys = self.appends().filter_map(|append| Some((append, append.key.as_ref()?)));
        let doubtful = keys.filter(|(_, key)| !key.known_new);
        doubtful.map(|(append, key)| (append.aggregate.clone(), key.key.clone())).collect()
    }

    fn appends(&self) -> impl Iterator<Item = &Append> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Append { pending, .. } => Some(&*pending.append),
            Entry::WrongSize { .. } | Entry::Barrier { .. } => None,
        })
    }

    /// Gives the appends that are left their positions, right after `head`.
    pub(super) fn place(&mut self, head: Position) -> Vec<Placed> {
        let mut next = head.next();
        let mut placed_appends = Vec::with_capacity(self.entries.len());
        for entry in &mut self.entries {
            let Entry::Append { pending, committed } = entry else { continue };
            let placed = Placed { first: next, append: Arc::clone(&pending.append) };
            let last = placed.last();
            *committed = Some(Committed { first: next, last, version: pending.append.last_version() });
            next = last.next();
            placed_appends.push(placed);
        }
        placed_appends
    }

    /// Refuses all appends, because nothing of this batch was committed.
    pub(super) fn fail(&mut self, error: &AppendError) {
        let mut kept = Vec::with_capacity(self.entries.len());
        for entry in self.entries.drain(..) {
            match entry {
                Entry::Append { pending, .. } => pending.refuse(error.clone()),
                Entry::WrongSize { pending, error } => pending.refuse(error),
                Entry::Barrier { session, answer, .. } => {
                    kept.push(Entry::Barrier { decided: Some(decide(session.as_deref())), session, answer });
                }
            }
        }
        self.entries = kept;
    }

    /// Answers everything that is left. The appends are durable.
    pub(super) fn answer(self, metrics: &CommitMetrics) {
        let now = Instant::now();
        for entry in self.entries {
            match entry {
                Entry::Append { pending, committed: Some(committed) } => {
                    metrics.append_duration.record(now.saturating_duration_since(pending.submitted));
                    pending.succeed(committed);
                }
                Entry::Append { pending, committed: None } => pending.refuse(AppendError::PredecessorFailed),
                Entry::WrongSize { pending, error } => pending.refuse(error),
                Entry::Barrier { session, decided, answer } => {
                    answer(decided.unwrap_or_else(|| decide(session.as_deref())));
                }
            }
        }
    }
}

/// The answer to a barrier of an append session, as the session is now.
pub(super) fn decide(session: Option<&AppendSession>) -> Result<(), PredecessorFailed> {
    if session.is_some_and(AppendSession::is_broken) { Err(PredecessorFailed) } else { Ok(()) }
}

async fn look_up_versions(
    unknown: HashSet<AggregateRef>,
    store: &dyn Store,
    versions: &mut LruCache<AggregateRef, Version>,
) -> Result<(), StoreError> {
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown: Vec<AggregateRef> = unknown.into_iter().collect();
    let found = store.versions(&unknown).await?;
    for (aggregate, version) in unknown.into_iter().zip(found) {
        versions.put(aggregate, version);
    }
    Ok(())
}

/// Command keys that the journal or this batch has already.
#[derive(Default)]
struct KnownKeys(HashMap<(AggregateRef, CommandKey), Version>);

impl KnownKeys {
    async fn look_up(doubtful: Vec<(AggregateRef, CommandKey)>, store: &dyn Store) -> Result<Self, StoreError> {
        let mut known = HashMap::new();
        for (aggregate, key) in doubtful {
            if let Some(first) = store.find_command(&aggregate, &key).await? {
                known.insert((aggregate, key), first);
            }
        }
        Ok(Self(known))
    }

    fn first(&self, append: &Append) -> Option<Version> {
        let key = append.command_key()?;
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(append.aggregate.clone(), key.clone())).copied()
    }

    /// Notes the key, in case a later append of the batch has it too.
    fn remember(&mut self, append: &Append) {
        if let Some(key) = append.command_key() {
            self.0.insert((append.aggregate.clone(), key.clone()), append.expected.next());
        }
    }
}
