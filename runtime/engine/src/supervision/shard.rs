//! A shard: the supervisor of the aggregates in one range of slices.
//!
//! Commands do not pass through it. Its mailbox is where ractor reports every start and end of a child, which run ahead
//! of messages: a shard that also routed commands would starve under churn.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tracing::error;

pub(crate) struct Shard;

impl Actor for Shard {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    /// Children come and go as commands name them, so their end never ends the shard. A failed one has noted that in
    /// the directory already, where the next command finds it and restarts it when it may.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<()>,
        event: SupervisionEvent,
        _state: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, problem) = event {
            error!(%problem, "an aggregate failed");
        }
        Ok(())
    }
}
