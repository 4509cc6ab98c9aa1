//! How a build is moved on by a batch of events.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dormouse_journal::{Feed, PageLimit, let_others_go_first};
use dormouse_kernel::{AggregateRef, Position, RecordedEvent};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info};

use crate::batch::Batch;
use crate::context::ProjectionContext;
use crate::decoded_batch::{DecodedBatch, DecodedEvent, decode};
use crate::definition::DefinitionError;
use crate::documents::Documents;
use crate::error::ProjectionError;
use crate::failure_share::FailureShare;
use crate::key::Key;
use crate::limits::EVENTS_AT_A_TIME;
use crate::metric::BatchMetrics;
use crate::pace::Pace;
use crate::projection::Projection;
use crate::sources::{AnySource, Sources};
use crate::store::{Advance, Build, BuildNumber, Builds, CommitError, Offset, Parked, Row};
use crate::transaction::commit;

/// What the workers of a projection share.
pub(crate) struct Projector<P: Projection> {
    pub(crate) context: Arc<ProjectionContext>,
    pub(crate) sources: Arc<HashMap<&'static str, AnySource<P>>>,
    metrics: BatchMetrics,
}

/// A projection under way: it believes that its build is at its offset, and that nobody else moves it.
pub(crate) struct Run<P: Projection> {
    pub(crate) feed: Feed,
    pub(crate) view: BuildState<P>,
    /// It holds what is served where it is, to take its place.
    turn: Option<OwnedMutexGuard<()>>,
}

/// Where a build is, and what is known of it.
pub(crate) struct BuildState<P: Projection> {
    pub(crate) build: BuildNumber,
    pub(crate) is_served: bool,
    begun_after: Position,
    pub(crate) offset: Offset,
    pub(crate) documents: Documents<P::Document>,
    /// How many aggregates have events that are parked. Which ones, the store knows.
    pub(crate) parked: usize,
    failure_share: FailureShare,
    pub(crate) pace: Pace,
    /// Most events in a batch: fewer while their documents are large.
    pub(crate) batch_events: usize,
}

/// What a batch makes of a view.
struct Made {
    rows: Vec<Row>,
    gone: Vec<Key>,
    parked: Vec<Parked>,
    /// Aggregates whose events it had, or more of them if nothing was wrong with any.
    met: usize,
}

impl<P: Projection> Projector<P> {
    pub(crate) fn new(context: Arc<ProjectionContext>) -> Result<Self, DefinitionError> {
        Ok(Self { context, sources: Arc::new(Sources::named()?), metrics: BatchMetrics::of(P::NAME) })
    }

    /// Finds out where a build is that nobody works on.
    pub(crate) async fn at_rest(&self, number: BuildNumber) -> Result<BuildState<P>, ProjectionError> {
        let (build, is_served) = self.find(number).await?.ok_or(ProjectionError::Gone)?;
        self.build_state(build, is_served).await
    }

    /// A build of this code, and whether it is served.
    async fn find(&self, number: BuildNumber) -> Result<Option<(Build, bool)>, ProjectionError> {
        let ProjectionContext { definition, store, .. } = &*self.context;
        let Builds { serving, next, .. } = store.prepare(definition).await?;
        let is_it = |build: &Build| build.number == number && build.version == definition.version();
        let served = serving.filter(is_it).map(|build| (build, true));
        Ok(served.or(next.filter(is_it).map(|build| (build, false))))
    }

    /// Finds out where a build is, and goes on from there.
    pub(crate) async fn resume(&self, number: BuildNumber) -> Result<Run<P>, ProjectionError> {
        let Some((build, is_served)) = self.find(number).await? else {
            self.context.view_cache.loses(number);
            return Err(ProjectionError::Gone);
        };
        let view = self.build_state(build, is_served).await?;
        let (offset, parked) = (view.offset, view.parked);
        info!(view = P::NAME, position = %offset.position, is_served, parked, "projecting");
        self.context.taken_up(build, is_served, parked);
        let feed = self.feed(offset.position);
        let mut run = Run { feed, view, turn: None };
        self.take_place(&mut run).await?;
        Ok(run)
    }

    /// What comes behind a position.
    pub(crate) fn feed(&self, position: Position) -> Feed {
        let ProjectionContext { journal, options, capacity, .. } = &*self.context;
        journal.feed(position).page_bytes(options.batch_bytes).sharing(capacity.reads.clone())
    }

    async fn build_state(&self, build: Build, is_served: bool) -> Result<BuildState<P>, ProjectionError> {
        let ProjectionContext { store, options, .. } = &*self.context;
        let Build { number, begun_after, offset, .. } = build;
        let parked = store.parked_count(number).await?;
        Ok(BuildState {
            build: number,
            is_served,
            begun_after,
            offset,
            documents: Documents::new(options.cache_bytes),
            parked,
            failure_share: FailureShare::default(),
            pace: Pace::from(Instant::now()),
            batch_events: options.batch_events.get(),
        })
    }

    /// Puts the build in the place of the one that is served, as soon as no reader loses anything by it.
    pub(crate) async fn take_place(&self, run: &mut Run<P>) -> Result<(), ProjectionError> {
        let ProjectionContext { definition, store, options, view_cache, progress, .. } = &*self.context;
        let Run { view, turn, .. } = run;
        while !view.is_served {
            let (served, at) = (progress.borrow().position, view.offset.position);
            if at >= served {
                let closed = view_cache.gives_way_to(view.build);
                if store.serve(definition, view.build).await? {
                    info!(view = P::NAME, position = %at, "a view was built anew and is served");
                    let version = definition.version();
                    let BuildState { build: number, begun_after, offset, .. } = *view;
                    let build = Build { number, version, begun_after, offset };
                    self.context.taken_up(build, true, view.parked);
                    view.is_served = true;
                    *turn = None;
                    return Ok(());
                }
                view_cache.reopens(closed);
                if turn.take().is_some() {
                    // It was not this process that moved it on.
                    return Ok(());
                }
            }
            if turn.is_some() || served.0.saturating_sub(at.0) > options.batch_events.get() as u64 {
                return Ok(());
            }
            *turn = Some(Arc::clone(&self.context.moving).lock_owned().await);
        }
        Ok(())
    }

    /// Projects the events that follow, and moves the build on. After an error, [resume](Self::resume): whether it has
    /// moved is not known; but if they were [too large](ProjectionError::TooLarge), it is where it was.
    pub(crate) async fn advance(&self, view: &mut BuildState<P>, batch: Batch) -> Result<(), ProjectionError> {
        let (Batch { events, to, count, .. }, started) = (batch, Instant::now());
        let waiting = self.waiting(view.build, view.parked, &events).await?;
        let batch = self.read(events, &waiting).await;
        let made = match self.try_project(&batch, view).await? {
            Some((rows, gone)) => Made { rows, gone, met: batch.len(), parked: batch.into_parked(0) },
            None => self.retry_poison(batch, view, &waiting, to).await?,
        };
        let Made { rows, gone, met, parked } = made;
        let stuck = newly_parked::<P>(&parked);
        if view.offset == Offset::START {
            self.context.claim_store().await?;
        }
        let advance = Advance { from: view.offset.position, to, rows, gone, parked, released: Vec::new() };
        self.commit(view.build, advance).await?;
        view.offset = to;
        view.documents.stored();
        view.takes_more(self.context.options.batch_events.get());
        view.parked += stuck;
        let now = Instant::now();
        let events_per_second = view.pace.note(count, now);
        self.context.moved(view.build, to, view.parked, events_per_second);
        self.metrics.record(view.is_served, count, now - started);
        view.failure_share.add(met, stuck)
    }

    /// Which of the aggregates of these events have some that are parked; asks nobody if there are none at all.
    async fn waiting(
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

    /// Moves a build on, and lets the readers' answers go that are not true any more.
    pub(crate) async fn commit(&self, build: BuildNumber, advance: Advance) -> Result<(), CommitError> {
        let ProjectionContext { definition, store, view_cache, .. } = &*self.context;
        let to = advance.to;
        view_cache.writing(build, &advance);
        let committed = commit(&**store, definition, build, advance).await;
        view_cache.wrote(build, to, &committed);
        committed
    }

    pub(crate) async fn read(&self, events: Vec<RecordedEvent>, waiting: &HashSet<AggregateRef>) -> DecodedBatch<P> {
        let mut batch = DecodedBatch::of(events.len());
        let parts = self.context.capacity.parts(events.len());
        if parts == 1 {
            for (number, event) in events.into_iter().enumerate() {
                batch.add(decode(event, &self.sources), waiting);
                give_way(number).await;
            }
            return batch;
        }
        for part in self.decode_beside(events, parts) {
            match part.await {
                Ok(decoded) => decoded.into_iter().for_each(|decoded| batch.add(decoded, waiting)),
                // What panics over an event is caught there: this is the worker's own failure.
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(error) => unreachable!("nobody cancels it: {error}"),
                },
            }
        }
        batch
    }

    /// Decodes events in parts, in tasks of their own; in order, part by part.
    fn decode_beside(&self, events: Vec<RecordedEvent>, parts: usize) -> Vec<JoinHandle<Vec<DecodedEvent<P>>>> {
        let size = events.len().div_ceil(parts);
        let mut events = events.into_iter();
        let mut decoding = Vec::with_capacity(parts);
        while !events.as_slice().is_empty() {
            let (part, sources): (Vec<_>, _) = (events.by_ref().take(size).collect(), Arc::clone(&self.sources));
            decoding.push(tokio::spawn(async move {
                let mut decoded = Vec::with_capacity(part.len());
                for (number, event) in part.into_iter().enumerate() {
                    decoded.push(decode(event, &sources));
                    give_way(number).await;
                }
                decoded
            }));
        }
        decoding
    }

    /// Whether the projection reads events of aggregates like this one.
    pub(crate) fn reads(&self, aggregate: &AggregateRef) -> bool {
        self.sources.contains_key(aggregate.aggregate_type.as_str())
    }

    /// Projects a batch as if nothing could go wrong. `None`: it did, and the documents are not what they should be.
    async fn try_project(
        &self,
        batch: &DecodedBatch<P>,
        view: &mut BuildState<P>,
    ) -> Result<Option<(Vec<Row>, Vec<Key>)>, ProjectionError> {
        if batch.has_poison() {
            return Ok(None);
        }
        self.load(batch, view).await?;
        let mut start = 0;
        while start < batch.len() {
            let end = batch.len().min(start + EVENTS_AT_A_TIME);
            if batch.project(start..end, &mut view.documents).is_err() {
                return Ok(None);
            }
            let_others_go_first().await;
            start = end;
        }
        Ok(view.documents.changes().ok())
    }

    /// Projects a batch so that each step can be undone, and once more after a while if an event cannot be projected, a
    /// few times: with the documents as they are stored and the events as the log has them, since what is wrong may
    /// be what was in memory. What cannot be projected in the end is parked.
    async fn retry_poison(
        &self,
        mut batch: DecodedBatch<P>,
        view: &mut BuildState<P>,
        waiting: &HashSet<AggregateRef>,
        to: Offset,
    ) -> Result<Made, ProjectionError> {
        let ProjectionContext { options, .. } = &*self.context;
        let mut attempts = 1;
        loop {
            view.documents.forget();
            self.load(&batch, view).await?;
            for number in 0..batch.len() {
                batch.project_carefully(number, &mut view.documents)?;
                give_way(number).await;
            }
            if !batch.has_poison() || attempts >= options.poison_attempts.get() {
                break;
            }
            tokio::time::sleep(options.pause_after(attempts)).await;
            attempts += 1;
            let again = self.read_again(view.offset.position, to).await?;
            batch = self.read(again, waiting).await;
        }
        let (rows, gone) = view.documents.changes()?;
        Ok(Made { rows, gone, met: batch.aggregates(), parked: batch.into_parked(attempts) })
    }

    /// What the projection reads of the events behind a position, up to an offset. It was in hand before, so it fits.
    async fn read_again(&self, mut position: Position, to: Offset) -> Result<Vec<RecordedEvent>, ProjectionError> {
        let mut again = Vec::new();
        while position < to.position {
            let events = usize::try_from(to.position.0 - position.0).unwrap_or(usize::MAX);
            let page = self.context.journal.read_log(position, PageLimit::events(events)).await?;
            let last = page.last().map(Offset::at);
            let Some(last) = last.filter(|last| last.position < to.position || *last == to) else {
                return Err(ProjectionError::Transient("the log does not have what was just read from it".to_owned()));
            };
            position = last.position;
            again.extend(page.into_iter().filter(|event| self.reads(&event.aggregate)));
        }
        Ok(again)
    }

    pub(crate) async fn load(&self, batch: &DecodedBatch<P>, view: &mut BuildState<P>) -> Result<(), ProjectionError> {
        let missing = view.documents.missing(batch.keys());
        if !missing.is_empty() {
            let ProjectionContext { definition, store, options, .. } = &*self.context;
            let bytes = if batch.len() > 1 { options.load_bytes } else { usize::MAX };
            let found = store.load(definition, view.build, &missing, bytes).await?.ok_or(ProjectionError::TooLarge)?;
            view.documents.insert(missing, found)?;
        }
        Ok(())
    }
}

impl<P: Projection> BuildState<P> {
    /// After a batch of so many events whose documents were too large.
    pub(crate) fn takes_fewer(&mut self, than: usize) {
        self.batch_events = (than / 2).max(1);
    }

    /// After a batch that went well: slowly, because each attempt that is too large reads in vain.
    fn takes_more(&mut self, most: usize) {
        self.batch_events = (self.batch_events + self.batch_events / 8 + 1).min(most);
    }
}

/// Tells of the aggregates of which an event is parked that could not be projected, and how many they are.
fn newly_parked<P: Projection>(parked: &[Parked]) -> usize {
    let mut count = 0;
    for event in parked {
        if let Parked { aggregate, version, position, reason: Some(reason), attempts } = event {
            error!(view = P::NAME, %aggregate, %version, %position, reason, attempts, "parked an aggregate");
            count += 1;
        }
    }
    count
}

/// A worker must not keep its thread for a whole batch.
pub(crate) async fn give_way(events_done: usize) {
    if events_done % EVENTS_AT_A_TIME == EVENTS_AT_A_TIME - 1 {
        let_others_go_first().await;
    }
}
