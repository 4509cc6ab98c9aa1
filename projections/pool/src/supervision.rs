//! The supervisor of the workers: each is restarted on its own, within limits, and given up on its own.

use std::sync::Arc;

use dormouse_kernel::{Failures, Limits, Verdict};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::progress::State;
use crate::worker::AnyProjector;

pub(crate) struct Root;

/// What the root is asked to do.
pub(crate) enum RootMessage {
    /// The pause of a worker, by its number, is over.
    Restart(usize),
    /// The workers were told to stop: end when they have.
    Stop,
}

pub(crate) struct Startup {
    pub(crate) projectors: Vec<Arc<dyn AnyProjector>>,
    pub(crate) limits: Limits,
    pub(crate) stop: watch::Receiver<bool>,
}

pub(crate) struct RootState {
    children: Vec<Child>,
    limits: Limits,
    stop: watch::Receiver<bool>,
    is_stopping: bool,
}

struct Child {
    projector: Arc<dyn AnyProjector>,
    /// While it runs.
    worker: Option<ActorId>,
    failures: Failures,
}

impl Actor for Root {
    type Msg = RootMessage;
    type State = RootState;
    type Arguments = Startup;

    async fn pre_start(
        &self,
        myself: ActorRef<RootMessage>,
        startup: Startup,
    ) -> Result<RootState, ActorProcessingErr> {
        let Startup { projectors, limits, stop } = startup;
        let child = |projector| Child { projector, worker: None, failures: Failures::default() };
        let children = projectors.into_iter().map(child).collect();
        let mut state = RootState { children, limits, stop, is_stopping: false };
        for number in 0..state.children.len() {
            state.start(number, myself.get_cell()).await?;
        }
        tell_when_stopped(state.stop.clone(), myself);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMessage>,
        message: RootMessage,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMessage::Restart(number) if !state.is_stopping => state.start(number, myself.get_cell()).await?,
            RootMessage::Restart(_) => {}
            RootMessage::Stop => {
                state.is_stopping = true;
                state.end_if_all_have(&myself);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMessage>,
        event: SupervisionEvent,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        let (ended, problem) = match event {
            SupervisionEvent::ActorFailed(ended, problem) => (ended, Some(problem.to_string())),
            SupervisionEvent::ActorTerminated(ended, ..) => (ended, None),
            _ => return Ok(()),
        };
        let is_it = |child: &Child| child.worker == Some(ended.get_id());
        let Some(number) = state.children.iter().position(is_it) else { return Ok(()) };
        let child = &mut state.children[number];
        child.worker = None;
        match problem {
            Some(problem) => child.failed(number, problem, &state.limits, &myself),
            None => child.projector.set_state(State::Ended),
        }
        state.end_if_all_have(&myself);
        Ok(())
    }
}

impl RootState {
    async fn start(&mut self, number: usize, root: ActorCell) -> Result<(), ActorProcessingErr> {
        let child = &mut self.children[number];
        child.worker = Some(Arc::clone(&child.projector).start(self.stop.clone(), root).await?);
        Ok(())
    }

    fn end_if_all_have(&self, root: &ActorRef<RootMessage>) {
        if self.is_stopping && self.children.iter().all(|child| child.worker.is_none()) {
            root.stop(None);
        }
    }
}

impl Child {
    fn failed(&mut self, number: usize, problem: String, limits: &Limits, root: &ActorRef<RootMessage>) {
        let view = self.projector.progress().borrow().name;
        let now = Instant::now().into_std();
        match self.failures.record(now, limits, &problem) {
            Verdict::Restart { until } => {
                warn!(view, problem, "a projection failed, restarting it");
                self.projector.set_state(State::Retrying(problem));
                root.send_after(until.saturating_duration_since(now), move || RootMessage::Restart(number));
            }
            Verdict::GiveUp { reason } => {
                error!(view, reason, "a projection keeps failing and is stopped");
                self.projector.set_state(State::Stopped(reason));
            }
        }
    }
}

/// Also when nobody holds a handle any more.
fn tell_when_stopped(mut stop: watch::Receiver<bool>, root: ActorRef<RootMessage>) {
    tokio::spawn(async move {
        let _told = stop.wait_for(|stop| *stop).await.is_ok();
        // A root that has ended needs no telling.
        let _ended = root.send_message(RootMessage::Stop);
    });
}
