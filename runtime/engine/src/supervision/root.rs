//! The root restarts the shards and the sweeper within limits. It gives up if one of them keeps failing, or if the
//! journal is lost.

use std::sync::Arc;

use dormouse_journal::Health;
use dormouse_kernel::{Failures, Limits, RestartDecision};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorRuntime, SupervisionEvent};
use tokio::time::Instant;
use tracing::{error, warn};

use super::Shard;
use crate::lifecycle::Lifecycle;
use crate::node::Node;
use crate::passivation::{Sweep, Sweeper};

pub(crate) struct Root;

/// The messages of the root.
pub(crate) enum RootMessage {
    /// The pause after a failure of this child is over.
    Restart(Child),
    /// The journal takes no more appends, ever.
    JournalLost(Health),
}

/// The children of the root. Each is restarted without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Child {
    Shard(u16),
    Sweeper,
}

pub(crate) struct Startup {
    pub(crate) node: Arc<Node>,
    pub(crate) sweep: Sweep,
    pub(crate) limits: Limits,
}

pub(crate) struct RootState {
    node: Arc<Node>,
    sweep: Sweep,
    limits: Limits,
    children: Vec<(Child, ActorId, Failures)>,
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
        let Startup { node, sweep, limits } = startup;
        let mut state = RootState { node, sweep, limits, children: Vec::new() };
        for number in 0..state.node.actors.shards() {
            let id = state.start(Child::Shard(number), &myself).await?;
            state.children.push((Child::Shard(number), id, Failures::default()));
        }
        let id = state.start(Child::Sweeper, &myself).await?;
        state.children.push((Child::Sweeper, id, Failures::default()));
        watch_journal(&state.node, myself);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMessage>,
        message: RootMessage,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMessage::Restart(child) => {
                let id = state.start(child, &myself).await?;
                state.children.iter_mut().filter(|(known, ..)| *known == child).for_each(|(_, known, _)| *known = id);
            }
            RootMessage::JournalLost(health) => {
                let reason = match health {
                    Health::Fenced => "another process has taken over the journal".to_owned(),
                    health => format!("the journal's writer ended ({health:?})"),
                };
                give_up(&state.node, reason, &myself);
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
            SupervisionEvent::ActorFailed(ended, problem) => (ended, problem.to_string()),
            SupervisionEvent::ActorTerminated(ended, _, reason) => {
                (ended, reason.unwrap_or_else(|| "it ended".to_owned()))
            }
            _ => return Ok(()),
        };
        if state.node.is_stopping() {
            return Ok(());
        }
        let limits = state.limits.clone();
        let known = state.children.iter_mut().find(|(_, id, _)| *id == ended.get_id());
        let Some((child, _, failures)) = known else { return Ok(()) };
        let child = *child;
        let now = Instant::now().into_std();
        match failures.record(now, &limits, &problem) {
            RestartDecision::Restart { until } => {
                warn!(?child, problem, "restarting a supervised actor");
                let pause = until.saturating_duration_since(now);
                myself.send_after(pause, move || RootMessage::Restart(child));
            }
            RestartDecision::GiveUp { reason } => give_up(&state.node, format!("{child:?}: {reason}"), &myself),
        }
        Ok(())
    }
}

impl RootState {
    async fn start(&self, child: Child, root: &ActorRef<RootMessage>) -> Result<ActorId, ActorProcessingErr> {
        let supervisor: ActorCell = root.get_cell();
        match child {
            Child::Shard(number) => {
                let (shard, _) = ActorRuntime::spawn_linked(None, Shard, (), supervisor).await?;
                self.node.actors.set_shard(number, shard.get_cell());
                Ok(shard.get_id())
            }
            Child::Sweeper => {
                let (sweeper, _) = ActorRuntime::spawn_linked(None, Sweeper, self.sweep.clone(), supervisor).await?;
                self.node.actors.set_sweeper(sweeper.clone());
                Ok(sweeper.get_id())
            }
        }
    }
}

/// The last escalation: the engine becomes unready, and the program that runs it ends with an error.
fn give_up(node: &Node, reason: String, root: &ActorRef<RootMessage>) {
    if node.is_stopping() {
        return;
    }
    error!(reason, "the engine gives up");
    node.set_lifecycle(Lifecycle::Failed(reason));
    root.stop(None);
}

/// Tells the root when the journal takes no more appends. The task ends then.
fn watch_journal(node: &Node, root: ActorRef<RootMessage>) {
    let mut health = node.journal.health();
    tokio::spawn(async move {
        // An error means that the writer ended without reporting its health.
        let ended = health.wait_for(|health| matches!(health, Health::Fenced | Health::Closed)).await;
        let health = ended.map_or_else(|_| Health::Recovering("its task ended".to_owned()), |health| health.clone());
        // A root that has ended needs no message.
        let _ended = root.send_message(RootMessage::JournalLost(health));
    });
}
