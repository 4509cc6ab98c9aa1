//! The sweep that puts aggregates to sleep: those idle for long, and, past the limit, those least recently used.
//!
//! One actor for the node, not a timer per aggregate nor a sweep per shard: the limit is the node's, and "least
//! recently used" has a meaning only among all of them.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::aggregate::PassivationReason;
use crate::registered_type::{AnyType, Candidate, Node};

/// PreviousActivations the limit, so much more than necessary is put to sleep (a part in so many), so that a sweep, which looks at
/// every live aggregate, pays for many activations to come.
const SLACK: usize = 32;

/// What the sweep looks after.
#[derive(Clone)]
pub(crate) struct Sweep {
    pub(crate) node: Arc<Node>,
    pub(crate) types: Arc<Vec<Arc<dyn AnyType>>>,
}

pub(crate) struct Sweeper;

/// What the sweeper is asked to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SweepMessage {
    /// It is time.
    Tick,
    /// There are more live aggregates than allowed. Sent once until the sweep begins.
    MakeRoom,
}

impl Actor for Sweeper {
    type Msg = SweepMessage;
    type State = Sweep;
    type Arguments = Sweep;

    async fn pre_start(&self, myself: ActorRef<SweepMessage>, sweep: Sweep) -> Result<Sweep, ActorProcessingErr> {
        // A sweeper that failed in the middle of a look left it unfinished.
        sweep.node.look_again();
        tick_after(sweep.node.config.passivation.sweep_interval, &myself);
        Ok(sweep)
    }

    async fn handle(
        &self,
        myself: ActorRef<SweepMessage>,
        message: SweepMessage,
        sweep: &mut Sweep,
    ) -> Result<(), ActorProcessingErr> {
        sweep.node.sweeping();
        if matches!(message, SweepMessage::Tick) {
            sweep.idle();
            // Only now: sweeps never pile up.
            tick_after(sweep.node.config.passivation.sweep_interval, &myself);
        }
        sweep.make_room();
        Ok(())
    }
}

fn tick_after(interval: Duration, sweeper: &ActorRef<SweepMessage>) {
    sweeper.send_after(interval, || SweepMessage::Tick);
}

impl Sweep {
    /// Puts to sleep what nobody has used for long. Looks at the live aggregates only if one of them can be due.
    fn idle(&self) {
        let now = self.node.now();
        if !self.node.begins_look(now) {
            return;
        }
        let idle_after = u64::try_from(self.node.config.passivation.idle_after.as_millis()).unwrap_or(u64::MAX);
        let long_ago = now.checked_sub(idle_after);
        let (mut looked_at, mut oldest_use, mut is_done) = (0, now, true);
        for registered in &*self.types {
            let mut idle = Vec::new();
            registered.unused(&mut |id, activation| {
                looked_at += 1;
                oldest_use = oldest_use.min(activation.last_used());
                if activation.is_empty() {
                    idle.push((id.clone(), activation.last_used(), PassivationReason::Empty));
                } else if long_ago.is_some_and(|long_ago| activation.last_used() <= long_ago) {
                    idle.push((id.clone(), activation.last_used(), PassivationReason::Idle));
                }
            });
            // The directory has no order of its own, and the same things should happen in the same order.
            idle.sort_unstable_by(|(one, last, _), (other, later, _)| (last, one).cmp(&(later, other)));
            for (id, last_used, reason) in idle {
                is_done &= registered.put_to_sleep(&id, last_used, reason);
            }
        }
        // A look does not see aggregates that are in use, nor when those were used that it could not put to sleep.
        let has_seen_all = is_done && looked_at >= self.node.live();
        self.node.looked(if has_seen_all { oldest_use.saturating_add(idle_after) } else { now });
    }

    /// Puts the least recently used to sleep, down to the limit and a little further.
    fn make_room(&self) {
        self.make_room_for(self.node.config.passivation.max_live.get());
    }

    fn make_room_for(&self, limit: usize) {
        let staying = self.node.staying();
        if staying <= limit {
            return;
        }
        let excess = staying - limit + limit / SLACK;
        let mut unused = Vec::new();
        for (number, registered) in self.types.iter().enumerate() {
            registered.unused(&mut |id, activation| {
                unused.push(Candidate { registered_type: number, id: id.clone(), last_used: activation.last_used() });
            });
        }
        for candidate in oldest(unused, excess) {
            self.types[candidate.registered_type].put_to_sleep(
                &candidate.id,
                candidate.last_used,
                PassivationReason::Limit,
            );
        }
    }

    /// Sends to sleep everything that nobody uses, because the node stops.
    pub(crate) fn drain(&self) {
        for registered in &*self.types {
            let mut unused = Vec::new();
            registered.unused(&mut |id, activation| unused.push((id.clone(), activation.last_used())));
            unused.sort_unstable_by(|(one, last), (other, later)| (last, one).cmp(&(later, other)));
            for (id, last_used) in unused {
                registered.put_to_sleep(&id, last_used, PassivationReason::Drain);
            }
        }
    }
}

/// The `count` least recently used, oldest first; those used in the same millisecond by name.
fn oldest(mut unused: Vec<Candidate>, count: usize) -> Vec<Candidate> {
    let order = |one: &Candidate, other: &Candidate| {
        (one.last_used, one.registered_type, &one.id).cmp(&(other.last_used, other.registered_type, &other.id))
    };
    if count < unused.len() {
        unused.select_nth_unstable_by(count, order);
        unused.truncate(count);
    }
    unused.sort_unstable_by(order);
    unused
}

#[cfg(test)]
mod tests {
    use dormouse_config::Config;
    use dormouse_journal::store::{Memory, Retention};
    use dormouse_journal::{Journal, Options};
    use dormouse_kernel::AggregateId;

    use super::*;
    use crate::test_aggregate::{Tally, TallyCommand};
    use crate::{CommandOptions, Engine};

    #[tokio::test]
    async fn those_already_told_to_sleep_make_room_enough() {
        let mut config = Config::embedded();
        config.passivation.sweep_interval = Duration::from_secs(3600);
        config.passivation.max_live = 6.try_into().unwrap();
        let retention = Retention { keep_count: 1, max_age: Duration::ZERO, keep_sparse: 0 };
        let journal = Journal::start(Arc::new(Memory::new(retention)), Options::default()).await.unwrap();
        let engine = Engine::builder(config).aggregate::<Tally>().start(journal).await.unwrap();
        let tallies = engine.aggregates::<Tally>().unwrap();
        for number in 0..6 {
            let see = TallyCommand::See { numbers: vec![1], look: false };
            let id = AggregateId::new(format!("a-{number}")).unwrap();
            tallies.execute(id, see, CommandOptions::default()).await.unwrap();
        }
        let (node, types) = engine.parts();
        let sweep = Sweep { node, types };
        sweep.make_room_for(4);
        sweep.make_room_for(4);
        while sweep.node.live() > 4 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!((sweep.node.live(), sweep.node.staying()), (4, 4));
        assert!(engine.drain(Duration::from_secs(30)).await.complete);
        assert_eq!((sweep.node.live(), sweep.node.staying()), (0, 0));
    }

    #[tokio::test]
    async fn a_sweep_looks_at_live_aggregates_only_if_one_of_them_can_be_due() {
        let mut config = Config::embedded();
        config.passivation.sweep_interval = Duration::from_secs(3600);
        config.passivation.idle_after = Duration::from_secs(3600);
        let retention = Retention { keep_count: 1, max_age: Duration::ZERO, keep_sparse: 0 };
        let journal = Journal::start(Arc::new(Memory::new(retention)), Options::default()).await.unwrap();
        let engine = Engine::builder(config).aggregate::<Tally>().start(journal).await.unwrap();
        let tallies = engine.aggregates::<Tally>().unwrap();
        let see = TallyCommand::See { numbers: vec![1], look: false };
        tallies.execute(AggregateId::new("a").unwrap(), see, CommandOptions::default()).await.unwrap();
        let (node, types) = engine.parts();
        let sweep = Sweep { node, types };
        sweep.idle();
        let (now, due) = (sweep.node.now(), sweep.node.now() + 3_600_000);
        assert!(!sweep.node.begins_look(now));
        assert!(sweep.node.begins_look(due), "it is due then");
        sweep.node.looked(due);

        // One that has no events.
        let _nothing = tallies.state(&AggregateId::new("b").unwrap()).await;
        assert_eq!(sweep.node.live(), 2);
        sweep.idle();
        let asleep = async {
            while sweep.node.live() > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asleep).await.expect("it does not go to sleep");
        assert!(engine.drain(Duration::from_secs(30)).await.complete);
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let unused = [5, 3, 9, 1, 7].map(|last_used| Candidate {
            registered_type: 0,
            id: AggregateId::new(format!("a-{last_used}")).unwrap(),
            last_used,
        });
        let oldest: Vec<u64> = oldest(unused.into(), 3).iter().map(|candidate| candidate.last_used).collect();
        assert_eq!(oldest, [1, 3, 5]);
    }

    #[test]
    fn asking_for_more_than_there_are_gives_all() {
        assert!(oldest(Vec::new(), 3).is_empty());
    }
}
