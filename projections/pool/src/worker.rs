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
use crate::projector::{Projector, Run};
use crate::release::OperatorRequest;
use crate::store::BuildNumber;
use crate::supervision::RootMessage;

/// How a worker ends that finds its build gone. One that was told to stop says nothing.
pub(crate) const GONE: &str = "gone";

pub(crate) struct Worker<P>(PhantomData<fn() -> P>);

/// Take the next batch.
pub(crate) struct Next;

/// What a worker is to do, and how it hears of those above it.
pub(crate) struct WorkerArguments {
    pub(crate) job: Job,
    pub(crate) stop: watch::Receiver<bool>,
    /// Bounded by one: operators come one after the other.
    pub(crate) requests: mpsc::Receiver<OperatorRequest>,
    pub(crate) root: ActorRef<RootMessage>,
    /// What the root calls the projection, and this attempt to make a plan.
    pub(crate) projection: usize,
    pub(crate) plan: u64,
}

pub(crate) struct Work<P: Projection> {
    projector: Arc<Projector<P>>,
    arguments: WorkerArguments,
    /// `None`: where the build is must be found out.
    run: Option<Run<P>>,
    /// What the run has read ahead.
    ahead: Option<Batch>,
    /// What an operator wants, as far as it is not done.
    request: Option<OperatorRequest>,
    /// Attempts in a row that met with passing error.
    attempts: u32,
    /// Before that no live batch is begun, unless a reader waits for it.
    rests_until: Option<Instant>,
}

enum Went {
    On,
    /// It was told to stop, or has nothing more to do.
    Away,
}

impl<P: Projection> Actor for Worker<P> {
    type Msg = Next;
    type State = Work<P>;
    type Arguments = Work<P>;

    async fn pre_start(&self, myself: ActorRef<Next>, work: Work<P>) -> Result<Work<P>, ActorProcessingErr> {
        myself.send_message(Next)?;
        Ok(work)
    }

    async fn handle(&self, myself: ActorRef<Next>, _: Next, work: &mut Work<P>) -> Result<(), ActorProcessingErr> {
        let went = match work.step().await {
            Err(ProjectionError::Transient(reason)) => work.pause(reason).await,
            Err(ProjectionError::Gone) => {
                myself.stop(Some(GONE.to_owned()));
                return Ok(());
            }
            Err(error @ (ProjectionError::Permanent(_) | ProjectionError::TooLarge)) => return Err(error.into()),
            Ok(went) => went,
        };
        match went {
            Went::On => myself.send_message(Next)?,
            Went::Away => myself.stop(None),
        }
        Ok(())
    }
}

impl<P: Projection> Work<P> {
    async fn step(&mut self) -> Result<Went, ProjectionError> {
        let build = match self.arguments.job {
            Job::Plan => return self.plan().await,
            Job::Build(build) => build,
        };
        // Taken: what is left of it after an error, or a panic, must not be used.
        let (run, ahead) = (self.run.take(), self.ahead.take());
        let (mut run, ahead) = match run {
            Some(run) => (run, ahead),
            None => (self.projector.resume(build).await?, None),
        };
        if *self.arguments.stop.borrow() {
            return Ok(Went::Away);
        }
        self.obey(&mut run).await?;
        let limit = run.view.batch_events;
        let projector = Arc::clone(&self.projector);
        let wanted = |aggregate: &AggregateRef, _: &NewEvent| projector.reads(aggregate);
        let batch = if ahead.is_some() {
            ahead
        } else if self.request.is_some() {
            Batch::ready(&mut run.feed, limit, wanted).await?
        } else {
            let rests_until = self.rests_until.filter(|_| run.view.is_served);
            let next = async {
                rest(&projector.context, rests_until).await;
                Batch::next(&mut run.feed, limit, wanted).await
            };
            tokio::select! {
                biased;
                () = stopped(&mut self.arguments.stop) => return Ok(Went::Away),
                request = self.arguments.requests.recv() => {
                    self.request = request;
                    None
                }
                batch = next => batch?,
            }
        };
        if let Some(batch) = batch {
            let begun = Instant::now();
            if !self.advance(&mut run, batch).await? {
                return Ok(Went::Away);
            }
            self.rests_until = Some(begun + self.projector.context.options.interval_after(begun.elapsed()));
        }
        self.run = Some(run);
        self.attempts = 0;
        Ok(Went::On)
    }

    /// False: it was told to stop before its turn came.
    async fn advance(&mut self, run: &mut Run<P>, batch: Batch) -> Result<bool, ProjectionError> {
        let projector = &self.projector;
        let turn = async {
            let moving = if run.view.is_served { Some(projector.context.moving.lock().await) } else { None };
            // Last: whoever has a batch in hand waits for nobody.
            (moving, projector.context.capacity.take().await)
        };
        let turn = tokio::select! {
            biased;
            turn = turn => turn,
            () = stopped(&mut self.arguments.stop) => return Ok(false),
        };
        // A batch that was full, of events or of bytes: the next one can be read meanwhile. One that is live would only get
        // less.
        let (is_behind, count) = (batch.is_behind, batch.count);
        let Run { feed, view, .. } = run;
        let limit = view.batch_events;
        let wanted = |aggregate: &AggregateRef, _: &NewEvent| projector.reads(aggregate);
        let reading_ahead = async { if is_behind { Batch::ready(feed, limit, wanted).await } else { Ok(None) } };
        let (advanced, ahead) = tokio::join!(projector.advance(view, batch), reading_ahead);
        drop(turn);
        if matches!(advanced, Err(ProjectionError::TooLarge)) {
            view.takes_fewer(count);
            *feed = projector.feed(view.offset.position);
            return Ok(true);
        }
        advanced?;
        self.ahead = ahead?;
        projector.take_place(run).await?;
        Ok(true)
    }

    async fn plan(&mut self) -> Result<Went, ProjectionError> {
        let builds = self.projector.context.plan().await?;
        let WorkerArguments { root, projection, plan, .. } = &self.arguments;
        // A root that has gone plans nothing.
        let _gone = root.send_message(RootMessage::Planned { projection: *projection, plan: *plan, builds });
        Ok(Went::Away)
    }

    /// Does a page of what an operator wants.
    async fn obey(&mut self, run: &mut Run<P>) -> Result<(), ProjectionError> {
        if self.request.is_none() {
            self.request = self.arguments.requests.try_recv().ok();
        }
        let Some(mut request) = self.request.take() else { return Ok(()) };
        let answer = match self.projector.release(&mut run.view, &mut request).await {
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
    async fn pause(&mut self, reason: String) -> Went {
        self.attempts = self.attempts.saturating_add(1);
        let pause = self.projector.context.options.pause_after(self.attempts);
        if self.projector.context.journal_is_closed() {
            // Whoever closed it is about to stop the projections, too.
            debug!(view = P::NAME, reason, "the journal has ended");
        } else {
            warn!(view = P::NAME, reason, attempts = self.attempts, ?pause, "cannot project, trying again");
        }
        self.projector.context.set_state(self.arguments.job, State::Retrying(reason));
        tokio::select! {
            () = stopped(&mut self.arguments.stop) => Went::Away,
            () = tokio::time::sleep(pause) => Went::On,
        }
    }
}

/// Lets more events come together, unless a reader waits for them.
async fn rest(context: &ProjectionContext, until: Option<Instant>) {
    let Some(until) = until else { return };
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        () = context.is_waited_for.notified() => {}
    }
}

/// Returns when it is told to stop, also because nobody is there any more to tell it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _told = stop.wait_for(|stop| *stop).await.is_ok();
}

/// A projection, whatever its documents.
#[async_trait]
pub(crate) trait AnyProjector: Send + Sync {
    fn context(&self) -> &Arc<ProjectionContext>;

    /// Does what an operator wants with parked events of a build that has no worker, and is given none meanwhile.
    async fn release_at_rest(&self, build: BuildNumber, request: OperatorRequest) -> Result<Retried, ControlError>;

    /// Starts a worker.
    async fn start(self: Arc<Self>, arguments: WorkerArguments) -> Result<ActorId, ActorProcessingErr>;
}

#[async_trait]
impl<P: Projection> AnyProjector for Projector<P> {
    fn context(&self) -> &Arc<ProjectionContext> {
        &self.context
    }

    async fn release_at_rest(&self, build: BuildNumber, mut request: OperatorRequest) -> Result<Retried, ControlError> {
        let interrupted = |error: ProjectionError| match error {
            // It was made by code that is gone.
            ProjectionError::Gone => ControlError::NotAtWork,
            error => ControlError::Interrupted(error.to_string()),
        };
        let mut view = self.at_rest(build).await.map_err(interrupted)?;
        loop {
            if let Some(answer) = self.release(&mut view, &mut request).await.map_err(interrupted)? {
                return answer;
            }
        }
    }

    async fn start(self: Arc<Self>, arguments: WorkerArguments) -> Result<ActorId, ActorProcessingErr> {
        let root = arguments.root.get_cell();
        let work =
            Work { projector: self, arguments, run: None, ahead: None, request: None, attempts: 0, rests_until: None };
        let (worker, _) = ActorRuntime::spawn_linked(None, Worker(PhantomData), work, root).await?;
        Ok(worker.get_id())
    }
}

/// How an operator reaches the worker of a build.
pub(crate) type OperatorRequests = (BuildNumber, mpsc::Sender<OperatorRequest>);
