//! One activation of an aggregate, from the start of its actor to its end.

use std::sync::Arc;

use dormouse_kernel::{Aggregate, AggregateId, RestartDecision};
use metrics::counter;
use ractor::ActorRef;
use tokio::time::Instant;
use tracing::error;

use super::{AggregateActor, Message};
use crate::admission::ActivationState;
use crate::directory::PreviousActivations;
use crate::metric;
use crate::passivation::Reason;
use crate::registered_type::RegisteredType;

/// Reports to the directory how the activation ended, when it is dropped. Unless [`asleep`](Self::asleep) was called,
/// it counts as failed: a panic, a kill and a failed start are reported in no other way.
pub(crate) struct Activation<A: Aggregate> {
    pub(super) registered: Arc<RegisteredType<A>>,
    pub(super) id: AggregateId,
    pub(super) state: Arc<ActivationState>,
    pub(super) previous: PreviousActivations,
    end: End,
}

enum End {
    Open,
    Asleep,
    /// A restart would not help, for this reason.
    Unusable(String),
}

impl<A: Aggregate> Activation<A> {
    /// Starts the actor of an aggregate that is not live, and returns at once. The actor loads the aggregate on its
    /// own; its mailbox takes messages meanwhile.
    pub(crate) fn start(
        registered: &Arc<RegisteredType<A>>,
        id: &AggregateId,
        previous: PreviousActivations,
    ) -> (ActorRef<Message<A>>, Arc<ActivationState>) {
        let state = Arc::new(ActivationState::new(registered.node.now()));
        registered.activation_started();
        let activation = Self {
            registered: Arc::clone(registered),
            id: id.clone(),
            state: Arc::clone(&state),
            previous,
            end: End::Open,
        };
        let supervisor = registered.node.actors.shard(registered.shard(id));
        let _on_these_threads = registered.node.threads.enter();
        let spawned = match supervisor {
            Some(shard) => ractor::ActorRuntime::spawn_linked_instant(None, AggregateActor::new(), activation, shard),
            None => ractor::ActorRuntime::spawn_instant(None, AggregateActor::new(), activation),
        };
        match spawned {
            Ok((actor, _)) => (actor, state),
            // Only a name that is taken can fail, and aggregates have no name in ractor's registry.
            Err(error) => unreachable!("an actor without a name always starts: {error}"),
        }
    }

    /// Notes that the aggregate sleeps. Removes its entry from the directory, so requests may activate it again.
    pub(super) fn asleep(&mut self, reason: Reason) {
        counter!(metric::PASSIVATIONS, "reason" => reason.label()).increment(1);
        self.registered.directory(&self.id).asleep(&self.id, &self.state);
        self.end = End::Asleep;
    }

    /// Notes that the aggregate cannot be used until an operator releases it.
    pub(super) fn quarantine(&mut self, reason: String) {
        self.end = End::Unusable(reason);
    }

    fn report_to_directory(&mut self) {
        let mut failures = std::mem::take(&mut self.previous.failures);
        let now = Instant::now().into_std();
        let decision = match std::mem::replace(&mut self.end, End::Asleep) {
            End::Asleep => return,
            // The actor ends because the engine ends. The aggregate has not failed.
            End::Open if self.registered.node.is_stopping() => RestartDecision::Restart { until: now },
            End::Open => {
                counter!(metric::FAILURES).increment(1);
                failures.record(now, &self.registered.node.failure_limits, "its code panicked")
            }
            End::Unusable(reason) => RestartDecision::GiveUp { reason },
        };
        if let RestartDecision::GiveUp { reason } = &decision {
            let aggregate = self.registered.aggregate(&self.id);
            error!(%aggregate, reason, "quarantined: an operator must release it");
        }
        self.registered.directory(&self.id).failed(&self.id, &self.state, failures, decision);
    }
}

impl<A: Aggregate> Drop for Activation<A> {
    fn drop(&mut self) {
        self.report_to_directory();
        // Only after the report, because no sweep can then tell the aggregate to sleep. So the count of those that fall
        // asleep stays correct.
        self.registered.activation_ended(&self.state);
    }
}
