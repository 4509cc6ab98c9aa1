//! Carries out operator requests, one at a time for each projection.
//!
//! Before a request changes a build, it stops the build's worker, which finishes its batch first. Afterwards it starts
//! the planner, and workers are started for the builds that exist then.

use std::sync::Arc;

use dormouse_kernel::{AggregateRef, Position};
use ractor::ActorRef;
use tokio::sync::oneshot;
use tracing::info;

use super::{ControlError, Retried};
use crate::context::ProjectionContext;
use crate::pool::Projections;
use crate::progress::{Progress, State};
use crate::release::ReleaseRequest;
use crate::store::{Begin, Build, BuildNumber, Builds, Offset};
use crate::supervision::SupervisorMessage;
use crate::worker::{AnyProjector, ReleaseSender};

/// An operator request for one projection.
pub(super) struct OperatorRequest {
    projection: usize,
    context: Arc<ProjectionContext>,
    projector: Arc<dyn AnyProjector>,
    supervisor: ActorRef<SupervisorMessage>,
}

impl Projections {
    /// Carries out an operator request as soon as no other one for the projection is in progress. It is finished even
    /// if the caller is cancelled.
    pub(super) async fn carry_out<T, F>(
        &self,
        name: &str,
        start: impl FnOnce(OperatorRequest) -> F,
    ) -> Result<T, ControlError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ControlError>> + Send + 'static,
    {
        let (projection, context) = self.context(name)?;
        let guard = Arc::clone(&context.operator_lock).lock_owned().await;
        let (context, projector) = (Arc::clone(context), self.projector(projection));
        let request = start(OperatorRequest { projection, context, projector, supervisor: self.supervisor().clone() });
        let task = tokio::spawn(async move {
            let _guard = guard;
            request.await
        });
        task.await.unwrap_or_else(|error| Err(ControlError::Interrupted(error.to_string())))
    }
}

impl OperatorRequest {
    pub(super) async fn pause(self) -> Result<(), ControlError> {
        match self.progress()?.state {
            State::Paused => return Err(ControlError::AlreadyPaused),
            State::Dropped => return Err(ControlError::Dropped),
            _ => {}
        }
        self.context.store.set_paused(&self.context.definition, true).await?;
        self.stop_workers(None).await?;
        self.context.set_states(State::Paused);
        info!(view = self.context.definition.name(), "paused");
        // The planner reads the exact positions of the builds from the store.
        self.plan()
    }

    pub(super) async fn resume(self) -> Result<(), ControlError> {
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

    pub(super) async fn reset(self, after: Position) -> Result<(), ControlError> {
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
        // Before the new build is served: a reader that waits for a later event must not read a build that lacks it.
        self.context.clear_builds(after, state);
        self.begin(offset, Begin::Instead).await
    }

    pub(super) async fn rebuild(self, start_over: bool) -> Result<(), ControlError> {
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

    pub(super) async fn drop_view(self) -> Result<(), ControlError> {
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

    /// Sends the request to the workers of both builds, and returns the reply of the build that is served. If that one
    /// has no worker, because other code made it, it returns the reply of the build beside it.
    pub(super) async fn release(
        self,
        aggregate: AggregateRef,
        skip: Option<Position>,
        dry_run: bool,
    ) -> Result<Retried, ControlError> {
        self.started().await;
        let Progress { build: served, state, .. } = self.progress()?;
        let (reply, workers) = oneshot::channel();
        self.send(SupervisorMessage::ListWorkers { projection: self.projection, reply })?;
        let mut workers: Vec<ReleaseSender> = workers.await.map_err(|_| ControlError::Ended)?;
        workers.sort_by_key(|(build, _)| Some(*build) != served);
        let mut replies = Vec::new();
        for (_, requests) in workers {
            let (reply, receiver) = oneshot::channel();
            let request = ReleaseRequest { aggregate: aggregate.clone(), skip, dry_run, released: 0, reply };
            // If the worker has ended, this drops the request, and the receiver gets an error.
            let _is_sent = requests.send(request).await;
            replies.push(receiver);
        }
        let mut first = None;
        for receiver in replies {
            let worker_ended = |_| Err(ControlError::Interrupted("the worker ended".to_owned()));
            let reply = receiver.await.unwrap_or_else(worker_ended);
            first.get_or_insert(reply);
        }
        match (first, state, served) {
            (Some(reply), ..) => reply,
            // No worker starts before this request has ended.
            (None, State::Paused | State::Stopped(_), Some(build)) => {
                let (reply, _) = oneshot::channel();
                let request = ReleaseRequest { aggregate, skip, dry_run, released: 0, reply };
                self.projector.release_without_worker(build, request).await
            }
            (None, ..) => Err(ControlError::NotAtWork),
        }
    }

    /// Waits until the state of the projection is known, and workers that are about to start have started.
    async fn started(&self) {
        let is_starting = |progress: &Progress| {
            let next = progress.rebuild.as_ref().map(|rebuild| &rebuild.state);
            progress.state == State::Starting || next == Some(&State::Starting)
        };
        let mut progress = self.context.progress.subscribe();
        // It cannot fail, because the context keeps the sender.
        let _is_known =
            progress.wait_for(|progress| progress.state == State::Ended || !is_starting(progress)).await.is_ok();
    }

    /// Begins a build. The planner is started even if that fails, because the store may have begun the build
    /// nevertheless.
    async fn begin(&self, after: Offset, how: Begin) -> Result<(), ControlError> {
        let begun = self.context.store.begin(&self.context.definition, after, how).await;
        self.plan()?;
        let Build { number: BuildNumber(build), .. } = begun?;
        info!(view = self.context.definition.name(), build, after = %after.position, ?how, "began a build of a view");
        Ok(())
    }

    fn progress(&self) -> Result<Progress, ControlError> {
        let progress = self.context.progress.borrow().clone();
        if progress.state == State::Ended { Err(ControlError::Ended) } else { Ok(progress) }
    }

    async fn stop_workers(&self, except: Option<BuildNumber>) -> Result<(), ControlError> {
        let (stopped, all_stopped) = oneshot::channel();
        self.send(SupervisorMessage::StopWorkers { projection: self.projection, except, stopped })?;
        all_stopped.await.map_err(|_| ControlError::Ended)
    }

    fn plan(&self) -> Result<(), ControlError> {
        self.send(SupervisorMessage::Plan(self.projection))
    }

    fn send(&self, message: SupervisorMessage) -> Result<(), ControlError> {
        self.supervisor.send_message(message).map_err(|_| ControlError::Ended)
    }
}
