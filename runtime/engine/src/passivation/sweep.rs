//! The sweep: it collects the candidates for the [policy](super::Policy), and puts to sleep what the policy chooses.
//!
//! It is one actor for the node, not a timer per aggregate nor a sweep per shard: the limit is the node's, and "least
//! recently used" has a meaning only among all live aggregates.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::{Candidate, Plan, Policy, Selection};
use crate::node::Node;
use crate::registered_type::AnyType;

/// The aggregates that are swept.
#[derive(Clone)]
pub(crate) struct Sweep {
    pub(crate) node: Arc<Node>,
    pub(crate) types: Arc<Vec<Arc<dyn AnyType>>>,
}

/// The actor that sweeps at regular intervals, and when there are more live aggregates than allowed.
pub(crate) struct Sweeper;

/// The messages of the [`Sweeper`]. Its mailbox holds at most one of each.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SweepMessage {
    /// `passivation.sweep_interval` has passed since the last regular sweep ended.
    Tick,
    /// There are more live aggregates than allowed. It is not sent again until a sweep begins.
    MakeRoom,
}

impl Actor for Sweeper {
    type Msg = SweepMessage;
    type State = Sweep;
    type Arguments = Sweep;

    async fn pre_start(&self, myself: ActorRef<SweepMessage>, sweep: Sweep) -> Result<Sweep, ActorProcessingErr> {
        // A sweeper that failed during a scan did not finish it.
        sweep.node.idle_scan.invalidate();
        tick_after(sweep.node.config.passivation.sweep_interval, &myself);
        Ok(sweep)
    }

    async fn handle(
        &self,
        myself: ActorRef<SweepMessage>,
        message: SweepMessage,
        sweep: &mut Sweep,
    ) -> Result<(), ActorProcessingErr> {
        sweep.node.actors.sweep_begins();
        if matches!(message, SweepMessage::Tick) {
            sweep.unload_due();
            // Only after the sweep, so that sweeps never pile up.
            tick_after(sweep.node.config.passivation.sweep_interval, &myself);
        }
        sweep.make_room(&sweep.node.passivation);
        Ok(())
    }
}

fn tick_after(interval: Duration, sweeper: &ActorRef<SweepMessage>) {
    sweeper.send_after(interval, || SweepMessage::Tick);
}

impl Sweep {
    /// Puts idle and empty aggregates to sleep. It looks at the live aggregates only if one of them can be due.
    fn unload_due(&self) {
        let now = self.node.now();
        if !self.node.idle_scan.begin(now) {
            return;
        }
        let plan = self.plan(self.node.passivation.due(now));
        let all_told = self.unload(&plan);
        // The scan did not see aggregates that requests use. Those that it could not put to sleep were used since.
        let has_seen_all = all_told && plan.considered >= self.node.live.live();
        self.node.idle_scan.finish(if has_seen_all { plan.none_due_before } else { now });
    }

    fn make_room(&self, policy: &Policy) {
        if let Some(selection) = policy.over_limit(self.node.live.staying()) {
            self.unload(&self.plan(selection));
        }
    }

    /// Puts everything to sleep that no request uses, because the node stops.
    pub(crate) fn drain(&self) {
        self.unload(&self.plan(Policy::drain()));
    }

    fn plan(&self, mut selection: Selection) -> Plan {
        for (registered_type, registered) in self.types.iter().enumerate() {
            registered.unused(&mut |id, activation| {
                let (last_used, is_empty) = (activation.last_used(), activation.is_empty());
                selection.consider(Candidate { registered_type, id, last_used, is_empty });
            });
        }
        selection.plan()
    }

    /// Returns whether all aggregates of the plan were told to sleep.
    fn unload(&self, plan: &Plan) -> bool {
        plan.unload.iter().fold(true, |all_told, unload| {
            let registered = &self.types[unload.registered_type];
            registered.put_to_sleep(&unload.id, unload.last_used, unload.reason) && all_told
        })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_config::Config;
    use dormouse_journal::store::{Memory, Retention};
    use dormouse_journal::{Journal, Options};
    use dormouse_kernel::AggregateId;

    use super::*;
    use crate::test_aggregate::{Tally, TallyCommand};
    use crate::{Aggregates, CommandOptions, Engine};

    /// An engine whose own sweep does not run during the test.
    async fn engine(change: impl FnOnce(&mut Config)) -> (Engine, Aggregates<Tally>, Sweep) {
        let mut config = Config::embedded();
        config.passivation.sweep_interval = Duration::from_secs(3600);
        change(&mut config);
        let retention = Retention { keep_count: 1, max_age: Duration::ZERO, keep_sparse: 0 };
        let journal = Journal::start(Arc::new(Memory::new(retention)), Options::default()).await.unwrap();
        let engine = Engine::builder(config).aggregate::<Tally>().start(journal).await.unwrap();
        let tallies = engine.aggregates::<Tally>().unwrap();
        let (node, types) = engine.parts();
        (engine, tallies, Sweep { node, types })
    }

    #[tokio::test]
    async fn aggregates_that_fall_asleep_already_count_as_room() {
        let (engine, tallies, sweep) = engine(|config| config.passivation.max_live = 6.try_into().unwrap()).await;
        for number in 0..6 {
            let see = TallyCommand::See { numbers: vec![1], look: false };
            let id = AggregateId::new(format!("a-{number}")).unwrap();
            tallies.execute(id, see, CommandOptions::default()).await.unwrap();
        }
        let policy = Policy { idle_after: u64::MAX, max_live: 4 };
        sweep.make_room(&policy);
        sweep.make_room(&policy);
        while sweep.node.live.live() > 4 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!((sweep.node.live.live(), sweep.node.live.staying()), (4, 4));
        assert!(engine.drain(Duration::from_secs(30)).await.complete);
        assert_eq!((sweep.node.live.live(), sweep.node.live.staying()), (0, 0));
    }

    #[tokio::test]
    async fn a_sweep_looks_at_live_aggregates_only_if_one_of_them_can_be_due() {
        let an_hour = Duration::from_secs(3600);
        let (engine, tallies, sweep) = engine(|config| config.passivation.idle_after = an_hour).await;
        let see = TallyCommand::See { numbers: vec![1], look: false };
        tallies.execute(AggregateId::new("a").unwrap(), see, CommandOptions::default()).await.unwrap();
        sweep.unload_due();
        let (now, due) = (sweep.node.now(), sweep.node.now() + 3_600_000);
        assert!(!sweep.node.idle_scan.begin(now));
        assert!(sweep.node.idle_scan.begin(due), "the aggregate is due then");
        sweep.node.idle_scan.finish(due);

        // A read loads an aggregate without events.
        let _not_found = tallies.state(&AggregateId::new("b").unwrap()).await;
        assert_eq!(sweep.node.live.live(), 2);
        sweep.unload_due();
        let asleep = async {
            while sweep.node.live.live() > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asleep).await.expect("the empty aggregate falls asleep");
        assert!(engine.drain(Duration::from_secs(30)).await.complete);
    }
}
