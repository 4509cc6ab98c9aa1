//! Moves a build by batches of events, and lets a new build take over when it has caught up with the one that is
//! served.
//!
//! `projector/decoding.rs` turns events into a decoded batch. `projector/poison.rs` projects it, and repeats and parks
//! what cannot be projected. `projector/personal.rs` seals what a batch has changed. This file opens builds, commits
//! batches and lets builds take over.

mod decoding;
mod personal;
mod poison;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dormouse_journal::Feed;
use dormouse_kernel::{AggregateRef, Position, RecordedEvent};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tracing::info;

use crate::batch::Batch;
use crate::context::ProjectionContext;
use crate::definition::DefinitionError;
use crate::documents::{Changes, Documents, SubjectOf};
use crate::error::ProjectionError;
use crate::event_rate::EventRate;
use crate::metric::BatchMetrics;
use crate::projection::{Projection, subject_of};
use crate::retry_rules::{FailureShare, fewer_events, more_events};
use crate::sources::{AnySource, Sources};
use crate::store::{Advance, Build, BuildNumber, Builds, CommitError, Offset};
use crate::transaction::commit;
pub(crate) use decoding::yield_every_few;
use poison::ProjectedBatch;

/// What the workers of a projection share.
pub(crate) struct Projector<P: Projection> {
    pub(crate) context: Arc<ProjectionContext>,
    pub(crate) sources: Arc<HashMap<&'static str, AnySource<P>>>,
    metrics: BatchMetrics,
}

/// A build that a worker moves. The worker assumes that the build is at its offset, and that no other process moves it.
pub(crate) struct OpenBuild<P: Projection> {
    pub(crate) feed: Feed,
    pub(crate) state: BuildState<P>,
    /// Held during the last batch before the build takes over: meanwhile the served build does not move.
    served_guard: Option<OwnedMutexGuard<()>>,
}

/// The position of a build, and what its worker keeps in memory.
pub(crate) struct BuildState<P: Projection> {
    pub(crate) build: BuildNumber,
    pub(crate) is_served: bool,
    begun_after: Position,
    pub(crate) offset: Offset,
    pub(crate) documents: Documents<P::Document>,
    /// How often a subject had been forgotten before events and documents were read.
    pub(crate) forgets: u64,
    /// How many aggregates have parked events. The store knows which ones.
    pub(crate) parked: usize,
    failure_share: FailureShare,
    event_rate: EventRate,
    /// The most events in a batch. It is lowered while the documents are large.
    pub(crate) batch_events: usize,
}

impl<P: Projection> Projector<P> {
    pub(crate) fn new(context: Arc<ProjectionContext>) -> Result<Self, DefinitionError> {
        Ok(Self { context, sources: Arc::new(Sources::named()?), metrics: BatchMetrics::of(P::NAME) })
    }

    /// Finds the position of a build, and prepares its worker to continue from there.
    pub(crate) async fn open(&self, number: BuildNumber) -> Result<OpenBuild<P>, ProjectionError> {
        let Some((build, is_served)) = self.find(number).await? else {
            self.context.view_cache.loses(number);
            return Err(ProjectionError::BuildGone);
        };
        let state = self.build_state(build, is_served).await?;
        let (offset, parked) = (state.offset, state.parked);
        info!(view = P::NAME, position = %offset.position, is_served, parked, "projecting into a build");
        self.context.set_running(build, is_served, parked);
        let mut open = OpenBuild { feed: self.feed(offset.position), state, served_guard: None };
        self.try_to_serve(&mut open).await?;
        Ok(open)
    }

    /// Loads the state of a build that has no worker.
    pub(crate) async fn load_state(&self, number: BuildNumber) -> Result<BuildState<P>, ProjectionError> {
        let (build, is_served) = self.find(number).await?.ok_or(ProjectionError::BuildGone)?;
        self.build_state(build, is_served).await
    }

    /// The events after a position.
    pub(crate) fn feed(&self, position: Position) -> Feed {
        let ProjectionContext { journal, options, capacity, .. } = &*self.context;
        journal.feed(position).page_bytes(options.batch_bytes).sharing(capacity.reads.clone())
    }

    /// Whether the projection reads events of this aggregate.
    pub(crate) fn reads(&self, aggregate: &AggregateRef) -> bool {
        self.sources.contains_key(aggregate.aggregate_type.as_str())
    }

    /// Projects a batch and commits it.
    ///
    /// # Errors
    /// After [`TooLarge`](ProjectionError::TooLarge) and [`Forgotten`](ProjectionError::Forgotten), the build has not
    /// moved, and the batch must be read again. After any other error the position of the build is unknown: the worker
    /// must [open](Self::open) the build again.
    pub(crate) async fn project_batch(&self, state: &mut BuildState<P>, batch: Batch) -> Result<(), ProjectionError> {
        let (Batch { events, to, count, .. }, started) = (batch, Instant::now());
        self.note_forgets(state)?;
        let parked_before = self.parked_among(state.build, state.parked, &events).await?;
        let batch = self.decode(events, &parked_before).await;
        let ProjectedBatch { mut changes, parked, aggregates } = self.project(batch, state, &parked_before, to).await?;
        self.seal(state, &mut changes).await?;
        let Changes { rows, gone, .. } = changes;
        let newly_parked = poison::log_newly_parked::<P>(&parked);
        if state.offset == Offset::START {
            self.context.claim_store().await?;
        }
        let advance = Advance { from: state.offset.position, to, rows, gone, parked, released: Vec::new() };
        self.commit(state.build, advance).await?;
        state.offset = to;
        state.documents.mark_stored();
        state.grow_batches(self.context.options.batch_events.get());
        state.parked += newly_parked;
        let now = Instant::now();
        let events_per_second = state.event_rate.record(count, now);
        self.context.set_offset(state.build, to, state.parked, events_per_second);
        self.metrics.record(state.is_served, count, now - started);
        state.failure_share.add(aggregates, newly_parked)
    }

    /// Commits a change of a build. The cache drops the answers that the change makes untrue.
    pub(crate) async fn commit(&self, build: BuildNumber, advance: Advance) -> Result<(), CommitError> {
        let ProjectionContext { definition, store, view_cache, .. } = &*self.context;
        let to = advance.to;
        view_cache.commit_begins(build, &advance);
        let committed = commit(&**store, definition, build, advance).await;
        view_cache.commit_ended(build, to, &committed);
        committed
    }

    /// Lets a new build take over from the one that is served, if it has caught up, so that no reader sees the view go
    /// back.
    ///
    /// If the new build is at most a batch behind, its worker takes the lock of the served build and keeps it until it
    /// has projected the rest. Otherwise the new build might stay one batch behind for ever.
    pub(crate) async fn try_to_serve(&self, open: &mut OpenBuild<P>) -> Result<(), ProjectionError> {
        let ProjectionContext { definition, store, options, view_cache, progress, .. } = &*self.context;
        let OpenBuild { state, served_guard, .. } = open;
        while !state.is_served {
            let (served, at) = (progress.borrow().position, state.offset.position);
            if at >= served {
                view_cache.swap_begins(state.build);
                if store.serve(definition, state.build).await? {
                    info!(view = P::NAME, position = %at, "a new build of the view is served");
                    let BuildState { build: number, begun_after, offset, .. } = *state;
                    let build = Build { number, version: definition.version(), begun_after, offset };
                    self.context.set_running(build, true, state.parked);
                    state.is_served = true;
                    *served_guard = None;
                    return Ok(());
                }
                view_cache.swap_failed(state.build);
                if served_guard.take().is_some() {
                    // Another process has moved the served build: the lock does not stop other processes.
                    return Ok(());
                }
            }
            if served_guard.is_some() || served.0.saturating_sub(at.0) > options.batch_events.get() as u64 {
                return Ok(());
            }
            *served_guard = Some(Arc::clone(&self.context.served_lock).lock_owned().await);
        }
        Ok(())
    }

    /// The build with this number, if this version of the code made it, and whether it is served.
    async fn find(&self, number: BuildNumber) -> Result<Option<(Build, bool)>, ProjectionError> {
        let ProjectionContext { definition, store, .. } = &*self.context;
        let Builds { serving, next, .. } = store.prepare(definition).await?;
        let is_wanted = |build: &Build| build.number == number && build.version == definition.version();
        let served = serving.filter(is_wanted).map(|build| (build, true));
        Ok(served.or(next.filter(is_wanted).map(|build| (build, false))))
    }

    async fn build_state(&self, build: Build, is_served: bool) -> Result<BuildState<P>, ProjectionError> {
        let ProjectionContext { store, options, .. } = &*self.context;
        let Build { number, begun_after, offset, .. } = build;
        let subject_of = self.context.sealing.as_ref().map(|_| subject_of::<P> as SubjectOf<P::Document>);
        Ok(BuildState {
            build: number,
            is_served,
            begun_after,
            offset,
            forgets: self.context.forgets(),
            documents: Documents::new(options.cache_bytes, subject_of),
            parked: store.parked_count(number).await?,
            failure_share: FailureShare::default(),
            event_rate: EventRate::from(Instant::now()),
            batch_events: options.batch_events.get(),
        })
    }

    /// Which aggregates of these events already have parked events. The store is not read if the build has no parked
    /// events.
    async fn parked_among(
        &self,
        build: BuildNumber,
        parked: usize,
        events: &[RecordedEvent],
    ) -> Result<HashSet<AggregateRef>, ProjectionError> {
        if parked == 0 || events.is_empty() {
            return Ok(HashSet::new());
        }
        let aggregates: HashSet<&AggregateRef> = events.iter().map(|event| &event.aggregate).collect();
        let aggregates: Vec<AggregateRef> = aggregates.into_iter().cloned().collect();
        Ok(self.context.store.parked_among(build, &aggregates).await?.into_iter().collect())
    }
}

impl<P: Projection> BuildState<P> {
    /// Lowers the limit after a batch of this many events whose documents were too large.
    pub(crate) fn shrink_batches(&mut self, events: usize) {
        self.batch_events = fewer_events(events);
    }

    fn grow_batches(&mut self, max: usize) {
        self.batch_events = more_events(self.batch_events, max);
    }
}
