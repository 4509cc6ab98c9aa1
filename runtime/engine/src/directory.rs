//! Where the live aggregates of one type and shard are, and what state of activation each is in.

use std::sync::Arc;
use std::time::Duration;

use dashmap::{DashMap, Entry as MapEntry};
use dormouse_kernel::{Aggregate, AggregateId, Failures, RestartDecision};
use ractor::ActorRef;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admission::{ActivationState, AggregatePermit};
use crate::aggregate::{Message, PassivationReason};

/// One activation at a time: the entry decides.
pub(crate) struct Directory<A: Aggregate> {
    entries: DashMap<AggregateId, Entry<A>>,
}

enum Entry<A: Aggregate> {
    /// Waking or awake: its mailbox takes messages.
    Live { actor: ActorRef<Message<A>>, activation: Arc<ActivationState> },
    /// Nobody is with it and nobody gets to it until it sleeps; the receiver's sender goes when it does.
    FallingAsleep { activation: Arc<ActivationState>, asleep: watch::Receiver<()> },
    /// Its last activation failed, or an operator released it after it failed too often.
    Failed { failures: Failures, until: Instant },
    /// It failed too often.
    Quarantined { reason: String },
}

/// What a new activation needs to know of the ones before it.
#[derive(Debug, Default)]
pub(crate) struct PreviousActivations {
    /// The last one failed, and commits of it may still be under way.
    pub(crate) last_failed: bool,
    /// The recent failures.
    pub(crate) failures: Failures,
}

/// What came of asking for an aggregate.
pub(crate) enum Admission<A: Aggregate> {
    /// There it is, with a place for one request.
    Live(ActorRef<Message<A>>, AggregatePermit),
    /// Too many requests are with it.
    Full,
    /// It is going to sleep: wait for that, then ask again.
    FallingAsleep(watch::Receiver<()>),
    /// It is being restarted: not before then.
    Restarting(Instant),
    /// An operator must release it.
    Quarantined(String),
}

impl<A: Aggregate> Directory<A> {
    pub(crate) fn new() -> Self {
        // A directory serves one shard of many; a few locks in it are enough.
        Self { entries: DashMap::with_shard_amount(4) }
    }

    /// Admits a request to an aggregate, activating it if it sleeps. `activate` runs under the entry's guard: it must
    /// only start the actor.
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

    /// Sends an aggregate to sleep if it is not in use and `may_sleep`. From here on nobody reaches its actor, so it
    /// can take no command with it.
    pub(crate) fn fall_asleep(
        &self,
        id: &AggregateId,
        reason: PassivationReason,
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
        // An actor that is gone has failed, and its activation's end has been or will be noted.
        actor.send_message(Message::Sleep(reason, done)).is_ok()
    }

    /// An activation ended in good order: the aggregate sleeps.
    pub(crate) fn asleep(&self, id: &AggregateId, activation: &Arc<ActivationState>) {
        self.entries.remove_if(id, |_, entry| entry.is_of(activation));
    }

    /// An activation failed.
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

    /// Lets a quarantined aggregate be woken again. Says whether it was one.
    pub(crate) fn release(&self, id: &AggregateId) -> bool {
        let Some(mut entry) = self.entries.get_mut(id) else { return false };
        let quarantined = matches!(&*entry, Entry::Quarantined { .. });
        if quarantined {
            // Not removed: the next activation must know that commits of the failed one may still be under way.
            *entry = Entry::Failed { failures: Failures::default(), until: Instant::now() };
        }
        quarantined
    }

    /// The quarantined aggregates and why.
    pub(crate) fn quarantined(&self) -> Vec<(AggregateId, String)> {
        let quarantined = self.entries.iter().filter_map(|entry| match entry.value() {
            Entry::Quarantined { reason } => Some((entry.key().clone(), reason.clone())),
            _ => None,
        });
        quarantined.collect()
    }

    /// The aggregates that nobody is using, with the time of their last use.
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

/// How long until `until`, for those who are told to come again.
pub(crate) fn remaining(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ractor::{Actor, ActorProcessingErr, ActorRuntime};

    use super::*;
    use crate::test_aggregate::Tally;

    /// Takes every message and does nothing about it.
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
                Entry::Failed { .. } | Entry::Quarantined { .. } => panic!("it is not live"),
            }
        }
    }

    fn id() -> AggregateId {
        AggregateId::new("a").unwrap()
    }

    #[tokio::test]
    async fn whoever_comes_first_starts_it_and_the_others_find_it() {
        let world = World::new();
        let first = world.admit();
        let second = world.admit();
        assert!(matches!((&first, &second), (Admission::Live(..), Admission::Live(..))));
        assert!(matches!(world.admit(), Admission::Full));
        assert_eq!(world.started(), 1);
    }

    #[tokio::test]
    async fn only_what_nobody_uses_falls_asleep_and_nobody_gets_to_it_then() {
        let world = World::new();
        let admission = world.admit();
        assert!(!world.directory.fall_asleep(&id(), PassivationReason::Idle, |_| true));
        drop(admission);
        assert!(!world.directory.fall_asleep(&id(), PassivationReason::Idle, |_| false));
        let activation = world.activation();
        assert!(world.directory.fall_asleep(&id(), PassivationReason::Idle, |_| true));
        assert!(!world.directory.fall_asleep(&id(), PassivationReason::Idle, |_| true), "it does already");
        assert!(matches!(world.admit(), Admission::FallingAsleep(_)));
        world.directory.asleep(&id(), &activation);
        assert!(matches!(world.admit(), Admission::Live(..)));
        assert_eq!(world.started(), 2);
    }

    #[tokio::test]
    async fn what_an_old_activation_says_does_not_concern_the_new_one() {
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
    async fn a_failed_one_starts_again_when_it_may_and_knows_that_it_failed() {
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
    async fn a_released_one_starts_again_and_knows_that_it_failed() {
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
