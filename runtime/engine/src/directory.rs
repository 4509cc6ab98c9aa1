//! The aggregates of one type and shard that are live or have failed.

use std::sync::Arc;
use std::time::Duration;

use dashmap::{DashMap, Entry as MapEntry};
use dormouse_kernel::{Aggregate, AggregateId, Failures, RestartDecision};
use ractor::ActorRef;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admission::{ActivationState, AggregatePermit};
use crate::aggregate::Message;
use crate::passivation::Reason;

/// The entries of one type and shard. An aggregate has at most one entry, and so at most one activation at a time.
pub(crate) struct Directory<A: Aggregate> {
    entries: DashMap<AggregateId, Entry<A>>,
}

enum Entry<A: Aggregate> {
    /// Its actor is loading it or has loaded it. The mailbox takes messages.
    Live { actor: ActorRef<Message<A>>, activation: Arc<ActivationState> },
    /// No request uses it, and none reaches it until it sleeps. Then the sender of `asleep` is dropped.
    FallingAsleep { activation: Arc<ActivationState>, asleep: watch::Receiver<()> },
    /// Its last activation failed, or an operator has released it. It may start again at `until`.
    Failed { failures: Failures, until: Instant },
    /// It has failed too often. An operator must release it.
    Quarantined { reason: String },
}

/// What a new activation must know of the earlier ones.
#[derive(Debug, Default)]
pub(crate) struct PreviousActivations {
    /// The last one failed. Appends of it may not be committed yet.
    pub(crate) last_failed: bool,
    /// The recent failures of the aggregate.
    pub(crate) failures: Failures,
}

/// What the directory returns to a request for an aggregate.
pub(crate) enum Admission<A: Aggregate> {
    /// The actor, with a permit for this request.
    Live(ActorRef<Message<A>>, AggregatePermit),
    /// Too many requests use the aggregate.
    Full,
    /// The aggregate falls asleep. The caller waits until this channel closes, and asks again.
    FallingAsleep(watch::Receiver<()>),
    /// The aggregate failed, and may not start again before this time.
    Restarting(Instant),
    /// An operator must release it.
    Quarantined(String),
}

impl<A: Aggregate> Directory<A> {
    pub(crate) fn new() -> Self {
        // A directory serves one shard of many, so that a few locks are enough.
        Self { entries: DashMap::with_shard_amount(4) }
    }

    /// Admits a request to an aggregate, and activates the aggregate if it is not live. `activate` runs under the
    /// entry's guard: it must only start the actor.
    pub(crate) fn admit(
        &self,
        id: &AggregateId,
        now: u64,
        limit: u32,
        activate: impl FnOnce(PreviousActivations) -> (ActorRef<Message<A>>, Arc<ActivationState>),
    ) -> Admission<A> {
        if let Some(entry) = self.entries.get(id)
            && let Entry::Live { actor, activation } = &*entry
        {
            return admitted(actor, activation, now, limit);
        }
        match self.entries.entry(id.clone()) {
            MapEntry::Vacant(vacant) => {
                let (actor, activation) = activate(PreviousActivations::default());
                let admission = admitted(&actor, &activation, now, limit);
                vacant.insert(Entry::Live { actor, activation });
                admission
            }
            MapEntry::Occupied(mut occupied) => match occupied.get_mut() {
                Entry::Live { actor, activation } => admitted(actor, activation, now, limit),
                Entry::FallingAsleep { asleep, .. } => Admission::FallingAsleep(asleep.clone()),
                Entry::Quarantined { reason } => Admission::Quarantined(reason.clone()),
                Entry::Failed { until, .. } if *until > Instant::now() => Admission::Restarting(*until),
                Entry::Failed { failures, .. } => {
                    let (actor, activation) =
                        activate(PreviousActivations { last_failed: true, failures: std::mem::take(failures) });
                    let admission = admitted(&actor, &activation, now, limit);
                    occupied.insert(Entry::Live { actor, activation });
                    admission
                }
            },
        }
    }

    /// Tells an aggregate to sleep if no request uses it and `may_sleep` agrees. From then on no request reaches its
    /// actor, so no command is lost. Returns whether the aggregate was told.
    pub(crate) fn fall_asleep(
        &self,
        id: &AggregateId,
        reason: Reason,
        may_sleep: impl FnOnce(&ActivationState) -> bool,
    ) -> bool {
        let Some(mut entry) = self.entries.get_mut(id) else { return false };
        let Entry::Live { actor, activation } = &*entry else { return false };
        if !activation.is_unused() || !may_sleep(activation) {
            return false;
        }
        let (done, asleep) = watch::channel(());
        let (actor, activation) = (actor.clone(), Arc::clone(activation));
        *entry = Entry::FallingAsleep { activation, asleep };
        drop(entry);
        // If the actor has ended, it failed, and its activation reports that.
        actor.send_message(Message::Sleep(reason, done)).is_ok()
    }

    /// Notes that an activation ended in good order. Removes the entry of its aggregate, which sleeps now.
    pub(crate) fn asleep(&self, id: &AggregateId, activation: &Arc<ActivationState>) {
        self.entries.remove_if(id, |_, entry| entry.is_of(activation));
    }

    /// Notes that an activation failed, and whether and when the aggregate may start again.
    pub(crate) fn failed(
        &self,
        id: &AggregateId,
        activation: &Arc<ActivationState>,
        failures: Failures,
        decision: RestartDecision,
    ) {
        let Some(mut entry) = self.entries.get_mut(id).filter(|entry| entry.is_of(activation)) else { return };
        *entry = match decision {
            RestartDecision::Restart { until } => Entry::Failed { failures, until: Instant::from_std(until) },
            RestartDecision::GiveUp { reason } => Entry::Quarantined { reason },
        };
    }

    /// Lets a quarantined aggregate be used again. Returns whether it was quarantined.
    pub(crate) fn release(&self, id: &AggregateId) -> bool {
        let Some(mut entry) = self.entries.get_mut(id) else { return false };
        let quarantined = matches!(&*entry, Entry::Quarantined { .. });
        if quarantined {
            // The entry stays, because the next activation must know that appends of the failed one may not be
            // committed yet.
            *entry = Entry::Failed { failures: Failures::default(), until: Instant::now() };
        }
        quarantined
    }

    /// The quarantined aggregates, each with the reason.
    pub(crate) fn quarantined(&self) -> Vec<(AggregateId, String)> {
        let quarantined = self.entries.iter().filter_map(|entry| match entry.value() {
            Entry::Quarantined { reason } => Some((entry.key().clone(), reason.clone())),
            _ => None,
        });
        quarantined.collect()
    }

    /// Visits the live aggregates that no request uses.
    pub(crate) fn unused(&self, visit: &mut dyn FnMut(&AggregateId, &ActivationState)) {
        for entry in &self.entries {
            if let Entry::Live { activation, .. } = entry.value()
                && activation.is_unused()
            {
                visit(entry.key(), activation);
            }
        }
    }
}

impl<A: Aggregate> Entry<A> {
    fn is_of(&self, other: &Arc<ActivationState>) -> bool {
        match self {
            Self::Live { activation, .. } | Self::FallingAsleep { activation, .. } => Arc::ptr_eq(activation, other),
            Self::Failed { .. } | Self::Quarantined { .. } => false,
        }
    }
}

fn admitted<A: Aggregate>(
    actor: &ActorRef<Message<A>>,
    activation: &Arc<ActivationState>,
    now: u64,
    limit: u32,
) -> Admission<A> {
    match activation.admit(now, limit) {
        Some(admitted) => Admission::Live(actor.clone(), admitted),
        None => Admission::Full,
    }
}

/// The time from now to `until`.
pub(crate) fn remaining(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ractor::{Actor, ActorProcessingErr, ActorRuntime};

    use super::*;
    use crate::test_aggregate::Tally;

    /// Takes every message and does nothing.
    struct Idle;

    impl Actor for Idle {
        type Msg = Message<Tally>;
        type State = ();
        type Arguments = ();

        async fn pre_start(&self, _myself: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
            Ok(())
        }
    }

    struct World {
        directory: Directory<Tally>,
        started: AtomicUsize,
    }

    impl World {
        fn new() -> Self {
            Self { directory: Directory::new(), started: AtomicUsize::new(0) }
        }

        fn admit(&self) -> Admission<Tally> {
            self.directory.admit(&id(), 0, 2, |_| self.start())
        }

        fn start(&self) -> (ActorRef<Message<Tally>>, Arc<ActivationState>) {
            self.started.fetch_add(1, Ordering::SeqCst);
            let (actor, _) = ActorRuntime::spawn_instant(None, Idle, ()).unwrap();
            (actor, Arc::new(ActivationState::new(0)))
        }

        fn started(&self) -> usize {
            self.started.load(Ordering::SeqCst)
        }

        fn activation(&self) -> Arc<ActivationState> {
            match &*self.directory.entries.get(&id()).unwrap() {
                Entry::Live { activation, .. } | Entry::FallingAsleep { activation, .. } => Arc::clone(activation),
                Entry::Failed { .. } | Entry::Quarantined { .. } => panic!("the aggregate is not live"),
            }
        }
    }

    fn id() -> AggregateId {
        AggregateId::new("a").unwrap()
    }

    #[tokio::test]
    async fn the_first_request_starts_the_actor_and_the_others_find_it() {
        let world = World::new();
        let first = world.admit();
        let second = world.admit();
        assert!(matches!((&first, &second), (Admission::Live(..), Admission::Live(..))));
        assert!(matches!(world.admit(), Admission::Full));
        assert_eq!(world.started(), 1);
    }

    #[tokio::test]
    async fn only_an_unused_aggregate_falls_asleep_and_no_request_reaches_it_then() {
        let world = World::new();
        let admission = world.admit();
        assert!(!world.directory.fall_asleep(&id(), Reason::Idle, |_| true));
        drop(admission);
        assert!(!world.directory.fall_asleep(&id(), Reason::Idle, |_| false));
        let activation = world.activation();
        assert!(world.directory.fall_asleep(&id(), Reason::Idle, |_| true));
        assert!(!world.directory.fall_asleep(&id(), Reason::Idle, |_| true), "it falls asleep already");
        assert!(matches!(world.admit(), Admission::FallingAsleep(_)));
        world.directory.asleep(&id(), &activation);
        assert!(matches!(world.admit(), Admission::Live(..)));
        assert_eq!(world.started(), 2);
    }

    #[tokio::test]
    async fn the_end_of_an_old_activation_does_not_change_the_entry_of_the_new_one() {
        let world = World::new();
        drop(world.admit());
        let old = world.activation();
        world.directory.asleep(&id(), &old);
        let _admission = world.admit();
        world.directory.asleep(&id(), &old);
        world.directory.failed(&id(), &old, Failures::default(), RestartDecision::GiveUp { reason: "late".to_owned() });
        assert!(matches!(world.admit(), Admission::Live(..)));
        assert_eq!(world.started(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_aggregate_starts_again_when_it_may_and_knows_that_it_failed() {
        let world = World::new();
        drop(world.admit());
        let until = Instant::now().into_std() + Duration::from_secs(1);
        world.directory.failed(&id(), &world.activation(), Failures::default(), RestartDecision::Restart { until });
        assert!(matches!(world.admit(), Admission::Restarting(_)));
        tokio::time::advance(Duration::from_secs(1)).await;
        let admission = world.directory.admit(&id(), 0, 2, |previous| {
            assert!(previous.last_failed);
            world.start()
        });
        assert!(matches!(admission, Admission::Live(..)));
    }

    #[tokio::test]
    async fn a_released_aggregate_starts_again_and_knows_that_it_failed() {
        let world = World::new();
        drop(world.admit());
        let decision = RestartDecision::GiveUp { reason: "it broke".to_owned() };
        world.directory.failed(&id(), &world.activation(), Failures::default(), decision);
        assert!(matches!(world.admit(), Admission::Quarantined(reason) if reason == "it broke"));
        assert_eq!(world.directory.quarantined(), [(id(), "it broke".to_owned())]);
        assert!(world.directory.release(&id()));
        assert!(!world.directory.release(&id()));
        let admission = world.directory.admit(&id(), 0, 2, |previous| {
            assert!(previous.last_failed);
            world.start()
        });
        assert!(matches!(admission, Admission::Live(..)));
    }
}
