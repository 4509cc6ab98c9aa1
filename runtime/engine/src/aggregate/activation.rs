//! One activation of an aggregate, from the start of its actor to its end, however that comes.

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
use crate::registered_type::RegisteredType;

/// Tells the directory how the activation ended. Dropped without [`asleep`](Self::asleep), it has failed: a panic, a
/// kill, or an actor that never came up all end here.
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
    /// It cannot be used: a restart would not help.
    Unusable(String),
}

impl<A: Aggregate> Activation<A> {
    /// Starts the actor of an aggregate that sleeps, and returns at once: it wakes on its own, and its mailbox takes
    /// messages meanwhile.
    pub(crate) fn start(
        registered: &Arc<RegisteredType<A>>,
        id: &AggregateId,
        previous: PreviousActivations,
    ) -> (ActorRef<Message<A>>, Arc<ActivationState>) {
        let state = Arc::new(ActivationState::new(registered.node.now()));
        registered.woke();
        let activation = Self {
            registered: Arc::clone(registered),
            id: id.clone(),
            state: Arc::clone(&state),
            previous,
            end: End::Open,
        };
        let supervisor = registered.node.supervisor(registered.shard(id));
        let _here = registered.node.threads.enter();
        // Only names can collide, and aggregates have none in ractor's registry.
        let spawned = match supervisor {
            Some(shard) => ractor::ActorRuntime::spawn_linked_instant(None, AggregateActor::new(), activation, shard),
            None => ractor::ActorRuntime::spawn_instant(None, AggregateActor::new(), activation),
        };
        match spawned {
            Ok((actor, _)) => (actor, state),
            Err(error) => unreachable!("an actor without a name always starts: {error}"),
        }
    }

    /// It sleeps: the entry goes, and those who wait for that may wake it again.
    pub(super) fn asleep(&mut self, reason: &'static str) {
        counter!(metric::PASSIVATIONS, "reason" => reason).increment(1);
        self.registered.directory(&self.id).asleep(&self.id, &self.state);
        self.end = End::Asleep;
    }

    /// It cannot be used until an operator says so.
    pub(super) fn quarantine(&mut self, reason: String) {
        self.end = End::Unusable(reason);
    }
}

impl<A: Aggregate> Drop for Activation<A> {
    fn drop(&mut self) {
        self.tell_directory();
        // Only now: from here on nobody can send it to sleep, so the count of those told to stays right.
        self.registered.slept(&self.state);
    }
}

impl<A: Aggregate> Activation<A> {
    fn tell_directory(&mut self) {
        let mut failures = std::mem::take(&mut self.previous.failures);
        let now = Instant::now().into_std();
        let decision = match std::mem::replace(&mut self.end, End::Asleep) {
            End::Asleep => return,
            // The engine ends, and its actors with it: no fault of theirs.
            End::Open if self.registered.node.is_stopping() => RestartDecision::Restart { until: now },
            End::Open => {
                counter!(metric::FAILURES).increment(1);
                failures.record(now, &self.registered.node.failure_limits, "its code panicked")
            }
            End::Unusable(reason) => RestartDecision::GiveUp { reason },
        };
        if let RestartDecision::GiveUp { reason } = &decision {
            error!(aggregate = %self.registered.aggregate(&self.id), reason, "quarantined");
        }
        self.registered.directory(&self.id).failed(&self.id, &self.state, failures, decision);
    }
}
