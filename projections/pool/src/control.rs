//! What operators do to projections: pause, resume, reset, rebuild, drop; look at what is parked, retry it, skip it.
//!
//! Whatever is begun is carried through, also if whoever asked has gone; and of a projection one thing is done at a time.
//! Workers finish the batch they are at before anything happens to their build.

use std::sync::Arc;

use dormouse_journal::{PageLimit, ReadError};
use dormouse_kernel::{AggregateRef, Position, RecordedEvent};
use ractor::ActorRef;
use tokio::sync::oneshot;
use tracing::info;

use crate::context::ProjectionContext;
use crate::pool::Projections;
use crate::progress::{Progress, State};
use crate::release::ReleaseRequest;
use crate::store::{Begin, Build, BuildNumber, Builds, Error, Offset, Parked};
use crate::supervision::SupervisorMessage;
use crate::worker::{AnyProjector, ReleaseSender};

/// What became of parked events that were tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retried {
    /// So many are in the view now.
    pub released: u64,
    /// The first one that is still parked, because it failed again. `None`: the aggregate is parked no longer.
    pub still_parked: Option<Parked>,
}

/// An event that is parked, and what the journal has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Why it is parked, and how often it was tried.
    pub parked: Parked,
    /// The event as it was recorded.
    pub recorded: RecordedEvent,
}

/// Why an operator did not get what was asked for. Unless it says otherwise, nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such projection.
    #[error("there is no projection {name:?}; there are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those there are, sorted.
        known: Vec<String>,
    },
    /// It is paused.
    #[error("it is paused already")]
    AlreadyPaused,
    /// It neither is paused nor has it stopped.
    #[error("it is at work: there is nothing to resume")]
    NotPaused,
    /// It is not to be dropped while it is at work.
    #[error("it is at work: pause it first")]
    AtWork,
    /// Its view was dropped.
    #[error("it was dropped: resume it to have it built anew")]
    Dropped,
    /// A build is made beside the one that is served already.
    #[error("a rebuild is under way, it is at {position}")]
    Underway {
        /// How far it is.
        position: Position,
    },
    /// The journal does not go so far.
    #[error("there is no position {position}: the journal ends at {head}")]
    BeyondHead {
        /// What was asked for.
        position: Position,
        /// Where the journal ends.
        head: Position,
    },
    /// No worker is there to do it.
    #[error("it is not at work: resume it first")]
    NotAtWork,
    /// No event of this aggregate is parked.
    #[error("no event of {aggregate} is parked")]
    NotParked {
        /// The aggregate.
        aggregate: AggregateRef,
    },
    /// Another event of the aggregate must be skipped before this one.
    #[error("the event at {position} is not the first that is parked, which is at {first}")]
    NotFirst {
        /// The event that was to be skipped.
        position: Position,
        /// The first one that is parked.
        first: Position,
    },
    /// The worker could not finish it. A part of it may have been done: asking again goes on there.
    #[error("it was interrupted: {0}")]
    Interrupted(String),
    /// The projections were stopped, or are about to.
    #[error("the projections are being stopped")]
    Ended,
    /// The views' store did not do it, or its answer was lost: asking again does no harm.
    #[error(transparent)]
    Store(#[from] Error),
    /// The journal did not answer.
    #[error(transparent)]
    Journal(#[from] ReadError),
}

impl Projections {
    /// Lets a projection stay where it is, until it is resumed, also over restarts. Its view can be read as it is.
    ///
    /// # Errors
    /// If it is paused, or was dropped.
    pub async fn pause(&self, name: &str) -> Result<(), ControlError> {
        self.carry_out(name, OperatorRequest::pause).await
    }

    /// Lets a projection go on that was paused, that stopped because it failed too often, or whose view was dropped: that
    /// is built anew.
    ///
    /// # Errors
    /// If it is at work.
    pub async fn resume(&self, name: &str) -> Result<(), ControlError> {
        self.carry_out(name, OperatorRequest::resume).await
    }

    /// Builds a view from the events after a position alone, instead of the one that is served, which is gone at once.
    /// What came before is not in it, so this is for views that forget; [`rebuild`](Self::rebuild) makes one whole. A
    /// paused projection stays paused, there.
    ///
    /// # Errors
    /// If the journal does not go so far.
    pub async fn reset(&self, name: &str, after: Position) -> Result<(), ControlError> {
        self.carry_out(name, move |request| request.reset(after)).await
    }

    /// Builds a view anew beside the one that is served, which is kept up to date until the new one takes its place. What
    /// is parked is tried again on the way. How far it is, [`Progress`] says.
    ///
    /// # Errors
    /// If that is under way already, unless it is to `start_over`.
    pub async fn rebuild(&self, name: &str, start_over: bool) -> Result<(), ControlError> {
        self.carry_out(name, move |request| request.rebuild(start_over)).await
    }

    /// Drops everything there is of a view: of a projection that is paused or has stopped, or of one that this application
    /// does not have any more (an [orphan](Self::orphans)). A view of this application is built anew when it is resumed, or
    /// when the application starts again.
    ///
    /// # Errors
    /// If the projection is at work, or there is nothing of that name.
    pub async fn drop_view(&self, name: &str) -> Result<(), ControlError> {
        if self.reader(name).is_none() && self.orphans().await?.iter().any(|orphan| orphan == name) {
            self.store().drop_view(name).await?;
            info!(view = name, "dropped the view of a projection that is no more");
            return Ok(());
        }
        self.carry_out(name, OperatorRequest::drop_view).await
    }

    /// The views that are stored and whose projections this application does not have, by name, sorted.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn orphans(&self) -> Result<Vec<String>, ControlError> {
        let names = self.store().names().await?;
        Ok(names.into_iter().filter(|name| self.reader(name).is_none()).collect())
    }

    /// The events that are parked in what is served, after a position, in order, at most `limit`; of one aggregate, if
    /// one is named. Only the first one of each aggregate has a reason: the others wait behind it.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn parked(
        &self,
        name: &str,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, ControlError> {
        let (_, context) = self.context(name)?;
        let build = context.progress.borrow().build;
        match build {
            Some(build) => Ok(context.store.parked(build, of, after, limit).await?),
            None => Ok(Vec::new()),
        }
    }

    /// The parked event at a position, with all that is known about it.
    ///
    /// # Errors
    /// If the store or the journal does not answer.
    pub async fn parked_event(&self, name: &str, position: Position) -> Result<Option<ParkedEvent>, ControlError> {
        let (_, context) = self.context(name)?;
        let Some(before) = position.0.checked_sub(1).map(Position) else { return Ok(None) };
        let parked = self.parked(name, None, before, 1).await?.into_iter().find(|event| event.position == position);
        let Some(parked) = parked else { return Ok(None) };
        let recorded = context.journal.read_log(before, PageLimit::ONE).await?.into_iter().next();
        Ok(recorded.map(|recorded| ParkedEvent { parked, recorded }))
    }

    /// Projects the parked events of an aggregate once more, in order, until none is left or one fails again. Whatever
    /// comes of the aggregate meanwhile waits behind them. A build that is made beside what is served tries its own.
    ///
    /// A projection that is paused, or has stopped, does so as well, in what is served, and stays where it is.
    ///
    /// # Errors
    /// If nothing of the aggregate is parked.
    pub async fn retry(&self, name: &str, aggregate: &AggregateRef) -> Result<Retried, ControlError> {
        let aggregate = aggregate.clone();
        self.carry_out(name, move |request| request.release(aggregate, None, false)).await
    }

    /// Leaves an event out of the view, for as long as this build of it is served, and projects the parked ones behind it.
    /// It must be the first that is parked of its aggregate, and it is named by its position, so that asking twice does
    /// not skip two.
    ///
    /// # Errors
    /// If it is not the first one of its aggregate.
    pub async fn skip(
        &self,
        name: &str,
        aggregate: &AggregateRef,
        position: Position,
    ) -> Result<Retried, ControlError> {
        let aggregate = aggregate.clone();
        self.carry_out(name, move |request| request.release(aggregate, Some(position), false)).await
    }

    /// What would come of a [`retry`](Self::retry), or of a [`skip`](Self::skip) of the event at a position: of the first
    /// `projections.batch_events` that are parked. Nothing changes.
    ///
    /// # Errors
    /// The same.
    pub async fn dry_run(
        &self,
        name: &str,
        aggregate: &AggregateRef,
        skip: Option<Position>,
    ) -> Result<Retried, ControlError> {
        let aggregate = aggregate.clone();
        self.carry_out(name, move |request| request.release(aggregate, skip, true)).await
    }

    fn context(&self, name: &str) -> Result<(usize, &Arc<ProjectionContext>), ControlError> {
        self.find(name).ok_or_else(|| ControlError::Unknown {
            name: name.to_owned(),
            known: self.readers().map(|reader| reader.definition().name().to_owned()).collect(),
        })
    }

    /// Does something to a projection, as soon as nobody else does.
    async fn carry_out<T, F>(&self, name: &str, start: impl FnOnce(OperatorRequest) -> F) -> Result<T, ControlError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ControlError>> + Send + 'static,
    {
        let (projection, context) = self.context(name)?;
        let guard = Arc::clone(&context.operator_lock).lock_owned().await;
        let (context, projector, supervisor) =
            (Arc::clone(context), self.projector(projection), self.supervisor().clone());
        let request = start(OperatorRequest { projection, context, projector, supervisor });
        let carried_through = tokio::spawn(async move {
            let _guard = guard;
            request.await
        });
        carried_through.await.unwrap_or_else(|error| Err(ControlError::Interrupted(error.to_string())))
    }
}

/// Something that is done to a projection, by one at a time.
struct OperatorRequest {
    projection: usize,
    context: Arc<ProjectionContext>,
    projector: Arc<dyn AnyProjector>,
    supervisor: ActorRef<SupervisorMessage>,
}

impl OperatorRequest {
    async fn pause(self) -> Result<(), ControlError> {
        match self.progress()?.state {
            State::Paused => return Err(ControlError::AlreadyPaused),
            State::Dropped => return Err(ControlError::Dropped),
            _ => {}
        }
        self.context.store.set_paused(&self.context.definition, true).await?;
        self.stop_workers(None).await?;
        self.context.set_states(State::Paused);
        info!(view = self.context.definition.name(), "paused");
        // Where exactly it has come to a halt is for the store to say.
        self.plan()
    }

    async fn resume(self) -> Result<(), ControlError> {
        self.started().await;
        let Progress { state, rebuild, .. } = self.progress()?;
        let is_stopped = |state: &State| matches!(state, State::Paused | State::Stopped(_) | State::Dropped);
        if !is_stopped(&state) && !rebuild.is_some_and(|rebuild| is_stopped(&rebuild.state)) {
            return Err(ControlError::NotPaused);
        }
        self.context.store.set_paused(&self.context.definition, false).await?;
        self.stop_workers(None).await?;
        self.context.set_states(State::Starting);
        info!(view = self.context.definition.name(), "resumed");
        self.plan()
    }

    async fn reset(self, after: Position) -> Result<(), ControlError> {
        let state = match self.progress()?.state {
            State::Dropped => return Err(ControlError::Dropped),
            State::Paused => State::Paused,
            _ => State::Starting,
        };
        let offset = match self.context.offset_at(after).await? {
            Some(offset) => offset,
            None => {
                let head = self.context.journal.ping().await?;
                return Err(ControlError::BeyondHead { position: after, head });
            }
        };
        self.stop_workers(None).await?;
        // First, so that nobody who waits for a later event reads what does not have it.
        self.context.clear_builds(after, state);
        self.begin(offset, Begin::Instead).await
    }

    async fn rebuild(self, start_over: bool) -> Result<(), ControlError> {
        let served = match self.progress()? {
            Progress { state: State::Dropped, .. } => return Err(ControlError::Dropped),
            Progress { build, .. } => build,
        };
        let Builds { next, .. } = self.context.store.prepare(&self.context.definition).await?;
        if let Some(Build { offset, .. }) = next
            && !start_over
        {
            return Err(ControlError::Underway { position: offset.position });
        }
        self.stop_workers(served).await?;
        self.begin(Offset::START, Begin::Beside).await
    }

    async fn drop_view(self) -> Result<(), ControlError> {
        self.started().await;
        match self.progress()?.state {
            State::Paused | State::Stopped(_) => {}
            State::Dropped => return Err(ControlError::Dropped),
            _ => return Err(ControlError::AtWork),
        }
        self.stop_workers(None).await?;
        self.context.view_cache.closes();
        self.context.store.drop_view(self.context.definition.name()).await?;
        self.context.clear_builds(Position::ZERO, State::Dropped);
        info!(view = self.context.definition.name(), "dropped a view");
        Ok(())
    }

    /// What is said is said of the build that is served, unless its code is gone.
    async fn release(
        self,
        aggregate: AggregateRef,
        skip: Option<Position>,
        dry_run: bool,
    ) -> Result<Retried, ControlError> {
        self.started().await;
        let Progress { build: served, state, .. } = self.progress()?;
        let (reply, workers) = oneshot::channel();
        self.tell(SupervisorMessage::ListWorkers { projection: self.projection, reply })?;
        let mut workers: Vec<ReleaseSender> = workers.await.map_err(|_| ControlError::Ended)?;
        workers.sort_by_key(|(build, _)| Some(*build) != served);
        let mut answers = Vec::new();
        for (_, requests) in workers {
            let (answer, answered) = oneshot::channel();
            let request = ReleaseRequest { aggregate: aggregate.clone(), skip, dry_run, released: 0, answer };
            // A worker that has gone lets go of the way to answer with the request.
            let _gone = requests.send(request).await;
            answers.push(answered);
        }
        let mut first = None;
        for answered in answers {
            let gone = || Err(ControlError::Interrupted("the worker ended".to_owned()));
            let answer = answered.await.unwrap_or_else(|_| gone());
            first.get_or_insert(answer);
        }
        match (first, state, served) {
            (Some(answer), ..) => answer,
            // Nobody starts a worker before this request is over.
            (None, State::Paused | State::Stopped(_), Some(build)) => {
                let (answer, _) = oneshot::channel();
                let request = ReleaseRequest { aggregate, skip, dry_run, released: 0, answer };
                self.projector.release_without_worker(build, request).await
            }
            (None, ..) => Err(ControlError::NotAtWork),
        }
    }

    /// Waits until it is known how it fares, and workers that are about to come are there.
    async fn started(&self) {
        let is_starting = |progress: &Progress| {
            let next = progress.rebuild.as_ref().map(|rebuild| &rebuild.state);
            progress.state == State::Starting || next == Some(&State::Starting)
        };
        let mut progress = self.context.progress.subscribe();
        // We hold the sender.
        let _told =
            progress.wait_for(|progress| progress.state == State::Ended || !is_starting(progress)).await.is_ok();
    }

    /// Whether it was begun or not: a plan is made of what there is then.
    async fn begin(&self, after: Offset, how: Begin) -> Result<(), ControlError> {
        let begun = self.context.store.begin(&self.context.definition, after, how).await;
        self.plan()?;
        let Build { number: BuildNumber(build), .. } = begun?;
        info!(view = self.context.definition.name(), build, after = %after.position, ?how, "a view is built anew");
        Ok(())
    }

    fn progress(&self) -> Result<Progress, ControlError> {
        let progress = self.context.progress.borrow().clone();
        if progress.state == State::Ended { Err(ControlError::Ended) } else { Ok(progress) }
    }

    async fn stop_workers(&self, except: Option<BuildNumber>) -> Result<(), ControlError> {
        let (stopped, all_stopped) = oneshot::channel();
        self.tell(SupervisorMessage::StopWorkers { projection: self.projection, except, stopped })?;
        all_stopped.await.map_err(|_| ControlError::Ended)
    }

    fn plan(&self) -> Result<(), ControlError> {
        self.tell(SupervisorMessage::Plan(self.projection))
    }

    fn tell(&self, message: SupervisorMessage) -> Result<(), ControlError> {
        self.supervisor.send_message(message).map_err(|_| ControlError::Ended)
    }
}
