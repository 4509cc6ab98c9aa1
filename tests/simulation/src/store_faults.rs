//! The faults of a node's storage, which follow from the seed and are traced.

use std::sync::Arc;

use dormouse_faults::{Call, Disturbance, Fault, Odds, Plan, RandomPlan};
use dormouse_journal::store::Placed;

use crate::run::World;
use crate::trace::Source;

pub(crate) struct Traced {
    world: Arc<World>,
    node: usize,
    plan: RandomPlan,
}

impl Traced {
    pub(crate) fn new(world: Arc<World>, node: usize, seed: u64, odds: Odds) -> Self {
        Self { world, node, plan: RandomPlan::new(seed, odds) }
    }
}

impl Plan for Traced {
    fn commit(&mut self, batch: &[Placed]) -> (u64, Fault) {
        let (turns, fault) = self.plan.commit(batch);
        let appends = batch.iter().map(|placed| {
            let append = &placed.append;
            format!(" {}@{} v{}..{}", append.aggregate.id, placed.first, append.expected.next(), append.last_version())
        });
        let appends: String = appends.collect();
        self.world.note(Source::Node(self.node), format!("commits{appends}: {fault:?}"));
        (turns, fault)
    }

    fn call(&mut self, call: Call) -> Disturbance {
        let mut disturbance = self.plan.call(call);
        // The time for which a zombie may stay unnoticed is only promised for a store that answers.
        disturbance.fails &= call != Call::Epoch;
        let Disturbance { delay, fails, .. } = disturbance;
        if fails || !delay.is_zero() {
            self.world.note(Source::Node(self.node), format!("{call:?} takes {delay:?}, fails: {fails}"));
        } else {
            self.world.note(Source::Node(self.node), format!("{call:?}"));
        }
        disturbance
    }
}
