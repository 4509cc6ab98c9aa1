//! The worker of a build: it takes batch after batch from the feed until it is told to stop.
//!
//! One message is one batch, and each sends the next, so there is never more than one in the mailbox. While it waits for
//! events it listens to being stopped and to operators; while it projects and commits it does not.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, NewEvent};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, ActorRuntime};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::batch::Batch;
use crate::context::{Job, ProjectionContext};
use crate::control::{ControlError, Retried};
use crate::error::ProjectionError;
use crate::progress::State;
use crate::projection::Projection;
use crate::projector::{OpenBuild, Projector};
use crate::release::ReleaseRequest;
use crate::store::BuildNumber;
use crate::supervision::SupervisorMessage;

/// How a worker ends that finds its build gone. One that was told to stop says nothing.
pub(crate) const BUILD_GONE: &str = "gone";

pub(crate) struct Worker<P>(PhantomData<fn() -> P>);

/// Take the next batch.
pub(crate) struct TakeBatch;

/// What a worker is to do, and how it hears of those above it.
pub(crate) struct WorkerArguments {
    pub(crate) job: Job,
    pub(crate) stop: watch::Receiver<bool>,
    /// Bounded by one: operators come one after the other.
    pub(crate) requests: mpsc::Receiver<ReleaseRequest>,
    pub(crate) supervisor: ActorRef<SupervisorMessage>,
    /// What the supervisor calls the projection, and this attempt to make a plan.
    pub(crate) projection: usize,
    pub(crate) plan: u64,
}

pub(crate) struct WorkerState<P: Projection> {
    projector: Arc<Projector<P>>,
    arguments: WorkerArguments,
    /// `None`: where the build is must be found out.
    open: Option<OpenBuild<P>>,
    /// What the open has read ahead.
    read_ahead: Option<Batch>,
    /// What an operator wants, as far as it is not done.
    request: Option<ReleaseRequest>,
    /// Attempts in a row that met with passing error.
    failed_attempts: u32,
    /// Before that no live batch is begun, unless a reader waits for it.
    delay_until: Option<Instant>,
}

enum NextStep {
    Continue,
    /// It was told to stop, or has nothing more to do.
    Stop,
}

impl<P: Projection> Actor for Worker<P> {
    type Msg = TakeBatch;
    type State = WorkerState<P>;
    type Arguments = WorkerState<P>;

    async fn pre_start(
        &self,
        myself: ActorRef<TakeBatch>,
        work: WorkerState<P>,
    ) -> Result<WorkerState<P>, ActorProcessingErr> {
        myself.send_message(TakeBatch)?;
        Ok(work)
    }

    async fn handle(
        &self,
        myself: ActorRef<TakeBatch>,
        _: TakeBatch,
        work: &mut WorkerState<P>,
    ) -> Result<(), ActorProcessingErr> {
        let next_step = match work.step().await {
            Err(ProjectionError::Transient(reason)) => work.pause(reason).await,
            Err(ProjectionError::BuildGone) => {
                myself.stop(Some(BUILD_GONE.to_owned()));
                return Ok(());
            }
            Err(error @ (ProjectionError::Permanent(_) | ProjectionError::TooLarge)) => return Err(error.into()),
            Ok(next_step) => next_step,
        };
        match next_step {
            NextStep::Continue => myself.send_message(TakeBatch)?,
            NextStep::Stop => myself.stop(None),
        }
        Ok(())
    }
}

impl<P: Projection> WorkerState<P> {
    async fn step(&mut self) -> Result<NextStep, ProjectionError> {
        let build = match self.arguments.job {
            Job::Plan => return self.plan().await,
            Job::Build(build) => build,
        };
        // Taken: what is left of it after an error, or a panic, must not be used.
        let (open, ahead) = (self.open.take(), self.read_ahead.take());
        let (mut open, ahead) = match open {
            Some(open) => (open, ahead),
            None => (self.projector.open(build).await?, None),
        };
        if *self.arguments.stop.borrow() {
            return Ok(NextStep::Stop);
        }
        self.release_page(&mut open).await?;
        let limit = open.state.batch_events;
        let projector = Arc::clone(&self.projector);
        let wanted = |aggregate: &AggregateRef, _: &NewEvent| projector.reads(aggregate);
        let batch = if ahead.is_some() {
            ahead
        } else if self.request.is_some() {
            Batch::ready(&mut open.feed, limit, wanted).await?
        } else {
            let delay_until = self.delay_until.filter(|_| open.state.is_served);
            let next = async {
                delay_batch(&projector.context, delay_until).await;
                Batch::next(&mut open.feed, limit, wanted).await
            };
            tokio::select! {
                biased;
                () = stop_requested(&mut self.arguments.stop) => return Ok(NextStep::Stop),
                request = self.arguments.requests.recv() => {
                    self.request = request;
                    None
                }
                batch = next => batch?,
            }
        };
        if let Some(batch) = batch {
            let begun = Instant::now();
            if !self.process(&mut open, batch).await? {
                return Ok(NextStep::Stop);
            }
            self.delay_until = Some(begun + self.projector.context.options.interval_after(begun.elapsed()));
        }
        self.open = Some(open);
        self.failed_attempts = 0;
        Ok(NextStep::Continue)
    }

    /// False: it was told to stop before its permits came.
    async fn process(&mut self, open: &mut OpenBuild<P>, batch: Batch) -> Result<bool, ProjectionError> {
        let projector = &self.projector;
        let permits = async {
            let served_lock =
                if open.state.is_served { Some(projector.context.served_lock.lock().await) } else { None };
            // Last: whoever has a batch in hand waits for nobody.
            (served_lock, projector.context.capacity.acquire().await)
        };
        let permits = tokio::select! {
            biased;
            permits = permits => permits,
            () = stop_requested(&mut self.arguments.stop) => return Ok(false),
        };
        // A batch that was full, of events or of bytes: the next one can be read meanwhile. One that is live would only get
        // less.
        let (is_behind, count) = (batch.is_behind, batch.count);
        let OpenBuild { feed, state, .. } = open;
        let limit = state.batch_events;
        let wanted = |aggregate: &AggregateRef, _: &NewEvent| projector.reads(aggregate);
        let reading_ahead = async { if is_behind { Batch::ready(feed, limit, wanted).await } else { Ok(None) } };
        let (advanced, ahead) = tokio::join!(projector.project_batch(state, batch), reading_ahead);
        drop(permits);
        if matches!(advanced, Err(ProjectionError::TooLarge)) {
            state.shrink_batches(count);
            *feed = projector.feed(state.offset.position);
            return Ok(true);
        }
        advanced?;
        self.read_ahead = ahead?;
        projector.try_to_serve(open).await?;
        Ok(true)
    }

    async fn plan(&mut self) -> Result<NextStep, ProjectionError> {
        let builds = self.projector.context.plan().await?;
        let WorkerArguments { supervisor, projection, plan, .. } = &self.arguments;
        // A supervisor that has gone plans nothing.
        let _gone =
            supervisor.send_message(SupervisorMessage::Planned { projection: *projection, plan: *plan, builds });
        Ok(NextStep::Stop)
    }

    /// Does a page of what an operator wants.
    async fn release_page(&mut self, open: &mut OpenBuild<P>) -> Result<(), ProjectionError> {
        if self.request.is_none() {
            self.request = self.arguments.requests.try_recv().ok();
        }
        let Some(mut request) = self.request.take() else { return Ok(()) };
        let answer = match self.projector.release(&mut open.state, &mut request).await {
            Ok(None) => {
                self.request = Some(request);
                return Ok(());
            }
            Ok(Some(answer)) => answer,
            Err(error) => {
                // Whoever asked may have gone, here and below.
                let _gone = request.answer.send(Err(ControlError::Interrupted(error.to_string())));
                return Err(error);
            }
        };
        let _gone = request.answer.send(answer);
        Ok(())
    }

    /// Waits before the next attempt, longer each time.
    async fn pause(&mut self, reason: String) -> NextStep {
        self.failed_attempts = self.failed_attempts.saturating_add(1);
        let pause = self.projector.context.options.pause_after(self.failed_attempts);
        if self.projector.context.journal_is_closed() {
            // Whoever closed it is about to stop the projections, too.
            debug!(view = P::NAME, reason, "the journal has ended");
        } else {
            warn!(view = P::NAME, reason, attempts = self.failed_attempts, ?pause, "cannot project, trying again");
        }
        self.projector.context.set_state(self.arguments.job, State::Retrying(reason));
        tokio::select! {
            () = stop_requested(&mut self.arguments.stop) => NextStep::Stop,
            () = tokio::time::sleep(pause) => NextStep::Continue,
        }
    }
}

/// Lets more events come together, unless a reader waits for them.
async fn delay_batch(context: &ProjectionContext, until: Option<Instant>) {
    let Some(until) = until else { return };
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        () = context.is_waited_for.notified() => {}
    }
}

/// Returns when it is told to stop, also because nobody is there any more to tell it.
async fn stop_requested(stop: &mut watch::Receiver<bool>) {
    let _told = stop.wait_for(|stop| *stop).await.is_ok();
}

/// A projection, whatever its documents.
#[async_trait]
pub(crate) trait AnyProjector: Send + Sync {
    fn context(&self) -> &Arc<ProjectionContext>;

    /// Does what an operator wants with parked events of a build that has no worker, and is given none meanwhile.
    async fn release_without_worker(
        &self,
        build: BuildNumber,
        request: ReleaseRequest,
    ) -> Result<Retried, ControlError>;

    /// Starts a worker.
    async fn start_worker(self: Arc<Self>, arguments: WorkerArguments) -> Result<ActorId, ActorProcessingErr>;
}

#[async_trait]
impl<P: Projection> AnyProjector for Projector<P> {
    fn context(&self) -> &Arc<ProjectionContext> {
        &self.context
    }

    async fn release_without_worker(
        &self,
        build: BuildNumber,
        mut request: ReleaseRequest,
    ) -> Result<Retried, ControlError> {
        let interrupted = |error: ProjectionError| match error {
            // It was made by code that is gone.
            ProjectionError::BuildGone => ControlError::NotAtWork,
            error => ControlError::Interrupted(error.to_string()),
        };
        let mut state = self.load_state(build).await.map_err(interrupted)?;
        loop {
            if let Some(answer) = self.release(&mut state, &mut request).await.map_err(interrupted)? {
                return answer;
            }
        }
    }

    async fn start_worker(self: Arc<Self>, arguments: WorkerArguments) -> Result<ActorId, ActorProcessingErr> {
        let supervisor = arguments.supervisor.get_cell();
        let work = WorkerState {
            projector: self,
            arguments,
            open: None,
            read_ahead: None,
            request: None,
            failed_attempts: 0,
            delay_until: None,
        };
        let (worker, _) = ActorRuntime::spawn_linked(None, Worker(PhantomData), work, supervisor).await?;
        Ok(worker.get_id())
    }
}

/// How an operator reaches the worker of a build.
pub(crate) type ReleaseSender = (BuildNumber, mpsc::Sender<ReleaseRequest>);
