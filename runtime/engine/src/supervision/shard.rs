//! A shard supervises the aggregates of one range of slices.
//!
//! Commands do not pass through it. Ractor reports every start and end of a child to its mailbox, ahead of messages: a
//! shard that also routed commands would starve while many aggregates start and end.

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

    /// The end of an aggregate never ends the shard. A failed activation has reported to the directory already, which
    /// restarts the aggregate at the next command when it may.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<()>,
        event: SupervisionEvent,
        _state: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, problem) = event {
            error!(%problem, "the actor of an aggregate failed");
        }
        Ok(())
    }
}
