//! One activation of an aggregate, from the start of its actor to its end, however that comes.

use std::sync::Arc;

use dormouse_kernel::{Aggregate, AggregateId, RestartDecision};
use metrics::counter;
use ractor::ActorRef;
use tokio::time::Instant;
use tracing::error;

use super::{AggregateActor, Message};
use crate::admission::Slot;
use crate::directory::Past;
use crate::kind::Kind;
use crate::metric;

/// Tells the directory how the activation ended. Dropped without [`asleep`](Self::asleep), it has failed: a panic, a
/// kill, or an actor that never came up all end here.
pub(crate) struct Activation<A: Aggregate> {
    pub(super) kind: Arc<Kind<A>>,
    pub(super) id: AggregateId,
    pub(super) slot: Arc<Slot>,
    pub(super) past: Past,
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
    pub(crate) fn start(kind: &Arc<Kind<A>>, id: &AggregateId, past: Past) -> (ActorRef<Message<A>>, Arc<Slot>) {
        let slot = Arc::new(Slot::new(kind.node.now()));
        kind.woke();
        let activation = Self { kind: Arc::clone(kind), id: id.clone(), slot: Arc::clone(&slot), past, end: End::Open };
        let supervisor = kind.node.supervisor(kind.shard(id));
        let _here = kind.node.threads.enter();
        // Only names can collide, and aggregates have none in ractor's registry.
        let spawned = match supervisor {
            Some(shard) => ractor::ActorRuntime::spawn_linked_instant(None, AggregateActor::new(), activation, shard),
            None => ractor::ActorRuntime::spawn_instant(None, AggregateActor::new(), activation),
        };
        match spawned {
            Ok((actor, _)) => (actor, slot),
            Err(error) => unreachable!("an actor without a name always starts: {error}"),
        }
    }

    /// It sleeps: the entry goes, and those who wait for that may wake it again.
    pub(super) fn asleep(&mut self, reason: &'static str) {
        counter!(metric::PASSIVATIONS, "reason" => reason).increment(1);
        self.kind.directory(&self.id).asleep(&self.id, &self.slot);
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
        self.kind.slept(&self.slot);
    }
}

impl<A: Aggregate> Activation<A> {
    fn tell_directory(&mut self) {
        let mut failures = std::mem::take(&mut self.past.failures);
        let now = Instant::now().into_std();
        let decision = match std::mem::replace(&mut self.end, End::Asleep) {
            End::Asleep => return,
            // The engine ends, and its actors with it: no fault of theirs.
            End::Open if self.kind.node.is_stopping() => RestartDecision::Restart { until: now },
            End::Open => {
                counter!(metric::FAILURES).increment(1);
                failures.record(now, &self.kind.node.failure_limits, "its code panicked")
            }
            End::Unusable(reason) => RestartDecision::GiveUp { reason },
        };
        if let RestartDecision::GiveUp { reason } = &decision {
            error!(aggregate = %self.kind.aggregate(&self.id), reason, "quarantined");
        }
        self.kind.directory(&self.id).failed(&self.id, &self.slot, failures, decision);
    }
}
