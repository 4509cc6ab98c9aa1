//! One round of the writer: a batch from submission to answers. Everything but the two look-ups is pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use dormouse_kernel::failpoint::{self, Bug};
use dormouse_kernel::{AggregateRef, CommandKey, Position, Version};
use lru::LruCache;
use tokio::sync::oneshot;

use super::submission::{Kind, Pending, Submission, Undone};
use crate::append::{Append, Committed, Placed};
use crate::error::{AppendError, StoreError};
use crate::lane::Lane;
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
    /// An append of a size that no batch has. It waits for its turn, so that it breaks its lane no earlier.
    Misfit {
        pending: Pending,
        error: AppendError,
    },
    Barrier {
        lane: Option<Arc<Lane>>,
        /// What is known of what came before it; an append behind it must not change that.
        decided: Option<Result<(), Undone>>,
        answer: Box<dyn FnOnce(Result<(), Undone>) + Send>,
    },
}

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
                Kind::Barrier { lane, answer } => steps.push(Step::Barrier { lane, decided: None, answer }),
                Kind::Close(closed) => return (Self { steps }, Some(closed)),
            }
        }
        (Self { steps }, None)
    }

    pub(super) fn has_appends(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Append { .. }))
    }

    /// Refuses, and takes out, the appends that the journal contradicts: a version that is not the expected one, a
    /// command key that is there already, anything that builds on these.
    pub(super) async fn check(
        &mut self,
        store: &dyn Store,
        versions: &mut LruCache<AggregateRef, Version>,
    ) -> Result<(), StoreError> {
        let appends: Vec<Arc<Append>> = self.appends().cloned().collect();
        look_up_versions(&appends, store, versions).await?;
        let mut keys = look_up_keys(&appends, store).await?;
        let mut current: HashMap<AggregateRef, Version> = HashMap::new();
        let mut kept = Vec::with_capacity(self.steps.len());
        for step in self.steps.drain(..) {
            let (pending, committed) = match step {
                Step::Append { pending, committed } => (pending, committed),
                Step::Misfit { pending, error } => {
                    pending.refuse(error);
                    continue;
                }
                Step::Barrier { lane, answer, .. } => {
                    kept.push(Step::Barrier { decided: Some(decide(lane.as_deref())), lane, answer });
                    continue;
                }
            };
            let append = Arc::clone(&pending.append);
            let known = current.get(&append.aggregate).or_else(|| versions.peek(&append.aggregate));
            let actual = known.copied().unwrap_or(Version::ZERO);
            let named = append.command_key().map(|key| (append.aggregate.clone(), key.clone()));
            let first = named.as_ref().and_then(|named| keys.get(named)).copied();
            if pending.is_undone() {
                pending.refuse(AppendError::Undone);
            } else if let Some(first) = first {
                pending.refuse(AppendError::KnownKey { first });
            } else if append.expected != actual && !failpoint::is_planted(Bug::NoVersionCheck) {
                pending.refuse(AppendError::VersionConflict { expected: append.expected, actual });
            } else {
                // The same key again in this round is known from here on.
                keys.extend(named.map(|named| (named, append.expected.next())));
                current.insert(append.aggregate.clone(), append.last_version());
                kept.push(Step::Append { pending, committed });
            }
        }
        self.steps = kept;
        Ok(())
    }

    fn appends(&self) -> impl Iterator<Item = &Arc<Append>> {
        self.steps.iter().filter_map(|step| match step {
            Step::Append { pending, .. } => Some(&pending.append),
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
                Step::Barrier { lane, answer, .. } => {
                    kept.push(Step::Barrier { decided: Some(decide(lane.as_deref())), lane, answer });
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
                Step::Barrier { lane, decided, answer } => {
                    answer(decided.unwrap_or_else(|| decide(lane.as_deref())));
                }
            }
        }
    }
}

/// What a barrier is answered if nothing more happens on its lane.
fn decide(lane: Option<&Lane>) -> Result<(), Undone> {
    if lane.is_some_and(Lane::is_broken) { Err(Undone) } else { Ok(()) }
}

async fn look_up_versions(
    appends: &[Arc<Append>],
    store: &dyn Store,
    versions: &mut LruCache<AggregateRef, Version>,
) -> Result<(), StoreError> {
    let aggregates = appends.iter().map(|append| &append.aggregate);
    let unknown: HashSet<&AggregateRef> = aggregates.filter(|aggregate| versions.get(*aggregate).is_none()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown: Vec<AggregateRef> = unknown.into_iter().cloned().collect();
    let found = store.versions(&unknown).await?;
    for (aggregate, version) in unknown.into_iter().zip(found) {
        versions.put(aggregate, version);
    }
    Ok(())
}

async fn look_up_keys(
    appends: &[Arc<Append>],
    store: &dyn Store,
) -> Result<HashMap<(AggregateRef, CommandKey), Version>, StoreError> {
    let mut known = HashMap::new();
    for append in appends {
        let Some(key) = append.key.as_ref().filter(|key| !key.known_new) else { continue };
        if let Some(first) = store.find_command(&append.aggregate, &key.key).await? {
            known.insert((append.aggregate.clone(), key.key.clone()), first);
        }
    }
    Ok(known)
}
