//! The worker of one job: it makes a plan, or moves a build by batch after batch from the feed until it is told to
//! stop.
//!
//! Each message takes one batch and then sends the next message, so the mailbox never has more than one. While the
//! worker waits for events, it listens to the stop signal and to operator requests. While it waits to begin a batch, it
//! listens to the stop signal only. While it projects and commits, it listens to neither.

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
use crate::retry_rules::AfterError;
use crate::store::BuildNumber;
use crate::supervision::SupervisorMessage;

/// The reason that a worker gives when it ends because its build does not exist any more. A worker that was told to
/// stop gives no reason.
pub(crate) const BUILD_GONE: &str = "build-gone";

/// The channel for operator requests to the worker of a build.
pub(crate) type ReleaseSender = (BuildNumber, mpsc::Sender<ReleaseRequest>);

/// A projection without its document type.
#[async_trait]
pub(crate) trait AnyProjector: Send + Sync {
    fn context(&self) -> &Arc<ProjectionContext>;

    /// Carries out a request for parked events of a build that has no worker. The caller ensures that none is started
    /// meanwhile.
    async fn release_without_worker(
        &self,
        build: BuildNumber,
        request: ReleaseRequest,
    ) -> Result<Retried, ControlError>;

    /// Starts a worker.
    async fn start_worker(self: Arc<Self>, arguments: WorkerArguments) -> Result<ActorId, ActorProcessingErr>;
}

/// What the supervisor gives a worker.
pub(crate) struct WorkerArguments {
    pub(crate) job: Job,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) requests: mpsc::Receiver<ReleaseRequest>,
    pub(crate) supervisor: ActorRef<SupervisorMessage>,
    /// The supervisor's number of the projection.
    pub(crate) projection: usize,
    /// The number of the plan, if the job is to make one.
    pub(crate) plan: u64,
}

pub(crate) struct Worker<P>(PhantomData<fn() -> P>);

/// The only message: take the next batch.
pub(crate) struct TakeBatch;

pub(crate) struct WorkerState<P: Projection> {
    projector: Arc<Projector<P>>,
    arguments: WorkerArguments,
    /// `None` before the first step and after an error: the position of the build must be read from the store.
    open: Option<OpenBuild<P>>,
    /// A batch that was read while the one before it was projected.
    read_ahead: Option<Batch>,
    /// The operator request in progress.
    request: Option<ReleaseRequest>,
    /// Attempts in a row that ended with a transient error.
    failed_attempts: u32,
    /// No live batch begins before this, unless a reader waits for it.
    delay_until: Option<Instant>,
}

enum NextStep {
    TakeBatch,
    Stop,
}

impl<P: Projection> Actor for Worker<P> {
    type Msg = TakeBatch;
    type State = WorkerState<P>;
    type Arguments = WorkerState<P>;

    async fn pre_start(
        &self,
        myself: ActorRef<TakeBatch>,
        state: WorkerState<P>,
    ) -> Result<WorkerState<P>, ActorProcessingErr> {
        myself.send_message(TakeBatch)?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<TakeBatch>,
        _: TakeBatch,
        state: &mut WorkerState<P>,
    ) -> Result<(), ActorProcessingErr> {
        let next_step = match state.step().await {
            Ok(next_step) => next_step,
            Err(error) => match AfterError::of(&error) {
                AfterError::Pause => state.pause(&error).await,
                AfterError::EndForGood => {
                    myself.stop(Some(BUILD_GONE.to_owned()));
                    return Ok(());
                }
                AfterError::Fail => return Err(error.into()),
            },
        };
        match next_step {
            NextStep::TakeBatch => myself.send_message(TakeBatch)?,
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
        // Taken out, so that neither is used again after an error or a panic. A step that succeeds puts `open` back.
        let (open, read_ahead) = (self.open.take(), self.read_ahead.take());
        let (mut open, mut read_ahead) = match open {
            Some(open) => (open, read_ahead),
            None => (self.projector.open(build).await?, None),
        };
        if *self.arguments.stop.borrow() {
            return Ok(NextStep::Stop);
        }
        let forgets = open.state.forgets;
        self.release_page(&mut open).await?;
        if open.state.forgets != forgets {
            // The next events were read before somebody was forgotten.
            open.feed = self.projector.feed(open.state.offset.position);
            read_ahead = None;
        }
        let limit = open.state.batch_events;
        let projector = Arc::clone(&self.projector);
        let wanted = |aggregate: &AggregateRef, _: &NewEvent| projector.reads(aggregate);
        let batch = if read_ahead.is_some() {
            read_ahead
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
        Ok(NextStep::TakeBatch)
    }

    /// Projects a batch and reads the next one meanwhile. False: the worker was told to stop before the batch began.
    async fn process(&mut self, open: &mut OpenBuild<P>, batch: Batch) -> Result<bool, ProjectionError> {
        let projector = &self.projector;
        let permits = async {
            let context = &projector.context;
            let served = if open.state.is_served { Some(context.served_lock.lock().await) } else { None };
            // The permit is taken last: a worker that holds it waits for no other worker.
            (served, context.capacity.acquire().await)
        };
        let permits = tokio::select! {
            biased;
            permits = permits => permits,
            () = stop_requested(&mut self.arguments.stop) => return Ok(false),
        };
        // Reads ahead only after a full batch (of events or of bytes): then the log has more events already. A live
        // batch that is read ahead would only be smaller.
        let (is_behind, count) = (batch.is_behind, batch.count);
        let OpenBuild { feed, state, .. } = open;
        let limit = state.batch_events;
        let wanted = |aggregate: &AggregateRef, _: &NewEvent| projector.reads(aggregate);
        let reading_ahead = async { if is_behind { Batch::ready(feed, limit, wanted).await } else { Ok(None) } };
        let (projected, read_ahead) = tokio::join!(projector.project_batch(state, batch), reading_ahead);
        drop(permits);
        if matches!(projected, Err(ProjectionError::TooLarge | ProjectionError::Forgotten)) {
            state.shrink_batches(count);
            *feed = projector.feed(state.offset.position);
            return Ok(true);
        }
        projected?;
        self.read_ahead = read_ahead?;
        projector.try_to_serve(open).await?;
        Ok(true)
    }

    async fn plan(&mut self) -> Result<NextStep, ProjectionError> {
        let builds = self.projector.context.plan().await?;
        let WorkerArguments { supervisor, projection, plan, .. } = &self.arguments;
        // The supervisor may have ended; then no plan is needed.
        let _is_sent =
            supervisor.send_message(SupervisorMessage::Planned { projection: *projection, plan: *plan, builds });
        Ok(NextStep::Stop)
    }

    /// Carries out one page of the operator request in progress, or of a new one.
    async fn release_page(&mut self, open: &mut OpenBuild<P>) -> Result<(), ProjectionError> {
        if self.request.is_none() {
            self.request = self.arguments.requests.try_recv().ok();
        }
        let Some(mut request) = self.request.take() else { return Ok(()) };
        let (reply, result) = match self.projector.release_page(&mut open.state, &mut request).await {
            Ok(None) => {
                self.request = Some(request);
                return Ok(());
            }
            Ok(Some(reply)) => (reply, Ok(())),
            Err(error) => (Err(ControlError::Interrupted(error.to_string())), Err(error)),
        };
        // The caller may have been cancelled.
        let _is_received = request.reply.send(reply);
        result
    }

    /// Waits before the next attempt.
    async fn pause(&mut self, error: &ProjectionError) -> NextStep {
        let (context, reason) = (&self.projector.context, error.to_string());
        self.failed_attempts = self.failed_attempts.saturating_add(1);
        let (attempts, pause) = (self.failed_attempts, context.options.pause_after(self.failed_attempts));
        if context.journal_is_closed() {
            // The application is stopping, and will stop the projections as well.
            debug!(view = P::NAME, reason, "the journal is closed");
        } else {
            warn!(view = P::NAME, reason, attempts, ?pause, "cannot project, trying again after a pause");
        }
        context.set_state(self.arguments.job, State::Retrying(reason));
        tokio::select! {
            () = stop_requested(&mut self.arguments.stop) => NextStep::Stop,
            () = tokio::time::sleep(pause) => NextStep::TakeBatch,
        }
    }
}

/// Waits until the given time, so that more events share a batch. Returns earlier if a reader waits for them.
async fn delay_batch(context: &ProjectionContext, until: Option<Instant>) {
    let Some(until) = until else { return };
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        () = context.is_waited_for.notified() => {}
    }
}

/// Returns when the worker was told to stop, or when the supervisor has ended.
async fn stop_requested(stop: &mut watch::Receiver<bool>) {
    let _is_told = stop.wait_for(|stop| *stop).await.is_ok();
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
            // Other code made the build, and this code cannot project into it.
            ProjectionError::BuildGone => ControlError::NotAtWork,
            error => ControlError::Interrupted(error.to_string()),
        };
        let mut state = self.load_state(build).await.map_err(interrupted)?;
        loop {
            if let Some(reply) = self.release_page(&mut state, &mut request).await.map_err(interrupted)? {
                return reply;
            }
        }
    }

    async fn start_worker(self: Arc<Self>, arguments: WorkerArguments) -> Result<ActorId, ActorProcessingErr> {
        let supervisor = arguments.supervisor.get_cell();
        let state = WorkerState {
            projector: self,
            arguments,
            open: None,
            read_ahead: None,
            request: None,
            failed_attempts: 0,
            delay_until: None,
        };
        let (worker, _) = ActorRuntime::spawn_linked(None, Worker(PhantomData), state, supervisor).await?;
        Ok(worker.get_id())
    }
}
