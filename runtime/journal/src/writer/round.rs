//! One round of the writer: a batch from submission to answers. Everything but the two look-ups is pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use dormouse_kernel::{AggregateRef, CommandKey, Position, Version};
use lru::LruCache;
use tokio::sync::oneshot;

use super::submission::{Kind, Pending, Submission, Undone};
use crate::append::{Append, Committed, Placed};
use crate::append_session::AppendSession;
use crate::error::{AppendError, StoreError};
use crate::metric::CommitMetrics;
use crate::store::Store;

/// Most bytes of events in one batch, so that 1,024 events of the largest allowed size do not make a statement that no
/// store takes (PostgreSQL's limit is 1 GiB). One command may exceed it alone.
const BATCH_BYTES: usize = 16 << 20;

/// What is answered at the end of the round, in the order of submission.
enum Step {
    Append {
        pending: Pending,
        committed: Option<Committed>,
    },
    /// An append of a size that no batch has. It waits for its turn, so that it breaks its append session no earlier.
    Misfit {
        pending: Pending,
        error: AppendError,
    },
    Barrier {
        session: Option<Arc<AppendSession>>,
        /// What is known of what came before it; an append behind it must not change that.
        decided: Option<Result<(), Undone>>,
        answer: Box<dyn FnOnce(Result<(), Undone>) + Send>,
    },
}

#[derive(Default)]
pub(super) struct Round {
    steps: Vec<Step>,
}

impl Round {
    /// Takes submissions from the front, as many events as fit one batch, up to a request to close.
    pub(super) fn gather(
        waiting: &mut VecDeque<Submission>,
        batch_events: usize,
    ) -> (Self, Option<oneshot::Sender<()>>) {
        let mut steps = Vec::with_capacity(waiting.len());
        let (mut events, mut bytes) = (0, 0);
        while let Some(Submission(kind)) = waiting.pop_front() {
            match kind {
                Kind::Append(pending) => {
                    let size = pending.append.events.len();
                    if size == 0 || size > batch_events {
                        let error = AppendError::WrongSize { events: size, limit: batch_events };
                        steps.push(Step::Misfit { pending, error });
                        continue;
                    }
                    let size_bytes = pending.append.size_bytes();
                    if events > 0 && (events + size > batch_events || bytes + size_bytes > BATCH_BYTES) {
                        waiting.push_front(Submission(Kind::Append(pending)));
                        break;
                    }
                    events += size;
                    bytes += size_bytes;
                    steps.push(Step::Append { pending, committed: None });
                }
                Kind::Barrier { session, answer } => steps.push(Step::Barrier { session, decided: None, answer }),
                Kind::Close(closed) => return (Self { steps }, Some(closed)),
            }
        }
        (Self { steps }, None)
    }

    /// Whether something that it appends is on this append session.
    pub(super) fn is_on(&self, session: &Arc<AppendSession>) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Append { pending, .. } => pending.is_on(session),
            Step::Misfit { .. } | Step::Barrier { .. } => false,
        })
    }

    pub(super) fn has_appends(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Append { .. }))
    }

    /// Refuses, and takes out, the appends that the journal contradicts: a version that is not the expected one, a
    /// command key that is there already, anything that builds on these. `versions` follows what is left: if that is not
    /// committed, they are wrong.
    pub(super) async fn check(
        &mut self,
        store: &dyn Store,
        versions: &mut LruCache<AggregateRef, Version>,
    ) -> Result<(), StoreError> {
        let unknown = self.unknown(versions);
        let doubtful = self.doubtful_keys();
        look_up_versions(unknown, store, versions).await?;
        let mut keys = KnownKeys::look_up(doubtful, store).await?;
        for step in std::mem::take(&mut self.steps) {
            match step {
                Step::Append { pending, .. } => self.check_append(pending, versions, &mut keys),
                Step::Misfit { pending, error } => pending.refuse(error),
                Step::Barrier { session, answer, .. } => {
                    self.steps.push(Step::Barrier { decided: Some(decide(session.as_deref())), session, answer });
                }
            }
        }
        Ok(())
    }

    fn check_append(&mut self, pending: Pending, versions: &mut LruCache<AggregateRef, Version>, keys: &mut KnownKeys) {
        let append = &*pending.append;
        // Looked up for all of the round; one that was pushed out since has no place among the remembered.
        let Some(actual) = versions.peek_mut(&append.aggregate) else {
            return pending.refuse(AppendError::Unavailable("the round is larger than the writer's memory".to_owned()));
        };
        if pending.is_undone() {
            pending.refuse(AppendError::Undone);
        } else if let Some(first) = keys.first(append) {
            pending.refuse(AppendError::KnownKey { first });
        } else if append.expected != *actual {
            let error = AppendError::VersionConflict { expected: append.expected, actual: *actual };
            pending.refuse(error);
        } else {
            *actual = append.last_version();
            keys.remember(append);
            self.steps.push(Step::Append { pending, committed: None });
        }
    }

    /// The aggregates whose version is not among the remembered. Those that are become the latest used.
    fn unknown(&self, versions: &mut LruCache<AggregateRef, Version>) -> HashSet<AggregateRef> {
        let aggregates = self.appends().map(|append| &append.aggregate);
        aggregates.filter(|aggregate| versions.get(*aggregate).is_none()).cloned().collect()
    }

    /// The keys that somebody must look up: those whose submitter does not know them to be new.
    fn doubtful_keys(&self) -> Vec<(AggregateRef, CommandKey)> {
        let keys = self.appends().filter_map(|append| Some((append, append.key.as_ref()?)));
        let doubtful = keys.filter(|(_, key)| !key.known_new);
        doubtful.map(|(append, key)| (append.aggregate.clone(), key.key.clone())).collect()
    }

    fn appends(&self) -> impl Iterator<Item = &Append> {
        self.steps.iter().filter_map(|step| match step {
            Step::Append { pending, .. } => Some(&*pending.append),
            Step::Misfit { .. } | Step::Barrier { .. } => None,
        })
    }

    /// The batch to commit: what is left, placed right after `head`.
    pub(super) fn batch(&mut self, head: Position) -> Vec<Placed> {
        let mut next = head.next();
        let mut batch = Vec::with_capacity(self.steps.len());
        for step in &mut self.steps {
            let Step::Append { pending, committed } = step else { continue };
            let placed = Placed { first: next, append: Arc::clone(&pending.append) };
            let last = placed.last();
            *committed = Some(Committed { first: next, last, version: pending.append.last_version() });
            next = last.next();
            batch.push(placed);
        }
        batch
    }

    /// Nothing of this round was committed.
    pub(super) fn fail(&mut self, error: &AppendError) {
        let mut kept = Vec::with_capacity(self.steps.len());
        for step in self.steps.drain(..) {
            match step {
                Step::Append { pending, .. } => pending.refuse(error.clone()),
                Step::Misfit { pending, error } => pending.refuse(error),
                Step::Barrier { session, answer, .. } => {
                    kept.push(Step::Barrier { decided: Some(decide(session.as_deref())), session, answer });
                }
            }
        }
        self.steps = kept;
    }

    /// Everything that is left is durable.
    pub(super) fn answer(self, metrics: &CommitMetrics) {
        let now = Instant::now();
        for step in self.steps {
            match step {
                Step::Append { pending, committed: Some(committed) } => {
                    metrics.append_duration.record(now.saturating_duration_since(pending.submitted));
                    pending.succeed(committed);
                }
                Step::Append { pending, committed: None } => pending.refuse(AppendError::Undone),
                Step::Misfit { pending, error } => pending.refuse(error),
                Step::Barrier { session, decided, answer } => {
                    answer(decided.unwrap_or_else(|| decide(session.as_deref())));
                }
            }
        }
    }
}

/// What a barrier is answered if nothing more happens on its append session.
pub(super) fn decide(session: Option<&AppendSession>) -> Result<(), Undone> {
    if session.is_some_and(AppendSession::is_broken) { Err(Undone) } else { Ok(()) }
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

/// Command keys that are in the journal or in this round already.
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

    /// The same key again in this round is known from here on.
    fn remember(&mut self, append: &Append) {
        if let Some(key) = append.command_key() {
            self.0.insert((append.aggregate.clone(), key.clone()), append.expected.next());
        }
    }
}
