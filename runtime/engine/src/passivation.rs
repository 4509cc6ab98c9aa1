//! Passivation: which live aggregates are unloaded, and why.
//!
//! The [`Policy`] is pure. The [sweep](Sweep) shows it the live aggregates that no request uses, and puts those to
//! sleep that the policy chooses, in the order in which it chooses them. A further strategy is a further [`Rule`] here
//! and a setting in `config/src/passivation.rs`.

mod idle_scan;
mod sweep;

use dormouse_config::Passivation;
use dormouse_kernel::AggregateId;

pub(crate) use idle_scan::IdleScan;
pub(crate) use sweep::{Sweep, SweepMessage, Sweeper};

/// If the limit is exceeded, one 32nd of it is unloaded beyond what is necessary. A sweep looks at every live
/// aggregate, so it should make room for many activations.
const SLACK: usize = 32;

/// The configured strategy. Times are milliseconds since the node started.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    idle_after: u64,
    max_live: usize,
}

/// Why an aggregate is put to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No request used it for `passivation.idle_after`.
    Idle,
    /// There were more live aggregates than `passivation.max_live`, and it was among the least recently used.
    Limit,
    /// It has no events.
    Empty,
    /// The node stops.
    Drain,
}

/// A live aggregate that no request uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// The number of its type in the order of registration.
    pub(crate) registered_type: usize,
    pub(crate) id: &'a AggregateId,
    pub(crate) last_used: u64,
    /// It has no events.
    pub(crate) is_empty: bool,
}

/// An aggregate that the policy has chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unload {
    pub(crate) registered_type: usize,
    pub(crate) id: AggregateId,
    /// It stays if a request has used it since.
    pub(crate) last_used: u64,
    pub(crate) reason: Reason,
}

/// A choice in progress: it considers all candidates, one after the other.
#[derive(Debug)]
pub(crate) struct Selection {
    rule: Rule,
    chosen: Vec<Unload>,
    considered: usize,
    oldest_use: u64,
}

/// Which candidates are chosen.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Those without events, and those that were last used at this time or before.
    Due { idle_since: Option<u64>, idle_after: u64 },
    /// This many of the least recently used.
    LeastRecentlyUsed { count: usize },
    /// All.
    All,
}

/// The result of a selection.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In the order in which the aggregates are to be put to sleep. The directories have no order, and the same
    /// candidates must lead to the same order: simulations rely on it.
    pub(crate) unload: Vec<Unload>,
    /// How many candidates there were.
    pub(crate) considered: usize,
    /// Before this time none of the candidates that stay is idle for long enough. Only a selection of what is
    /// [due](Policy::due) knows it.
    pub(crate) none_due_before: u64,
}

impl Policy {
    pub(crate) fn from_config(config: &Passivation) -> Self {
        let idle_after = u64::try_from(config.idle_after.as_millis()).unwrap_or(u64::MAX);
        Self { idle_after, max_live: config.max_live.get() }
    }

    /// Whether `live` aggregates are more than allowed.
    pub(crate) const fn is_over_limit(&self, live: usize) -> bool {
        live > self.max_live
    }

    /// Chooses what is idle or empty at the time `now`.
    pub(crate) const fn due(&self, now: u64) -> Selection {
        let idle_since = now.checked_sub(self.idle_after);
        Selection::new(Rule::Due { idle_since, idle_after: self.idle_after }, now)
    }

    /// Chooses the least recently used, down to the limit and a little further. `None` if `staying` aggregates are
    /// within the limit.
    pub(crate) const fn over_limit(&self, staying: usize) -> Option<Selection> {
        if !self.is_over_limit(staying) {
            return None;
        }
        let count = staying - self.max_live + self.max_live / SLACK;
        Some(Selection::new(Rule::LeastRecentlyUsed { count }, 0))
    }

    /// Chooses everything, because the node stops.
    pub(crate) const fn drain() -> Selection {
        Selection::new(Rule::All, 0)
    }
}

impl Selection {
    const fn new(rule: Rule, now: u64) -> Self {
        Self { rule, chosen: Vec::new(), considered: 0, oldest_use: now }
    }

    pub(crate) fn consider(&mut self, candidate: Candidate<'_>) {
        let Candidate { registered_type, id, last_used, is_empty } = candidate;
        self.considered += 1;
        self.oldest_use = self.oldest_use.min(last_used);
        let reason = match self.rule {
            Rule::Due { .. } if is_empty => Some(Reason::Empty),
            Rule::Due { idle_since, .. } => idle_since.is_some_and(|since| last_used <= since).then_some(Reason::Idle),
            Rule::LeastRecentlyUsed { .. } => Some(Reason::Limit),
            Rule::All => Some(Reason::Drain),
        };
        if let Some(reason) = reason {
            self.chosen.push(Unload { registered_type, id: id.clone(), last_used, reason });
        }
    }

    pub(crate) fn plan(self) -> Plan {
        let Self { rule, mut chosen, considered, oldest_use } = self;
        match rule {
            Rule::Due { .. } | Rule::All => chosen.sort_unstable_by(|one, other| {
                (one.registered_type, one.last_used, &one.id).cmp(&(other.registered_type, other.last_used, &other.id))
            }),
            Rule::LeastRecentlyUsed { count } => chosen = least_recently_used(chosen, count),
        }
        let none_due_before = match rule {
            Rule::Due { idle_after, .. } => oldest_use.saturating_add(idle_after),
            Rule::LeastRecentlyUsed { .. } | Rule::All => 0,
        };
        Plan { unload: chosen, considered, none_due_before }
    }
}

impl Reason {
    pub(crate) const ALL: [Self; 4] = [Self::Idle, Self::Limit, Self::Empty, Self::Drain];

    /// The reason as the metric names it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Limit => "limit",
            Self::Empty => "empty",
            Self::Drain => "drain",
        }
    }
}

/// The `count` least recently used, oldest first; those used in the same millisecond by type and id.
fn least_recently_used(mut candidates: Vec<Unload>, count: usize) -> Vec<Unload> {
    let order = |one: &Unload, other: &Unload| {
        (one.last_used, one.registered_type, &one.id).cmp(&(other.last_used, other.registered_type, &other.id))
    };
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, order);
        candidates.truncate(count);
    }
    candidates.sort_unstable_by(order);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { idle_after: 10, max_live: 4 };

    /// Lets a selection choose among aggregates that were last used at these times; those with `true` have no events.
    fn plan(mut selection: Selection, candidates: &[(usize, u64, bool)]) -> Plan {
        for &(registered_type, last_used, is_empty) in candidates {
            let id = AggregateId::new(format!("a-{last_used}")).unwrap();
            selection.consider(Candidate { registered_type, id: &id, last_used, is_empty });
        }
        selection.plan()
    }

    fn unloaded(plan: &Plan) -> Vec<(usize, u64, Reason)> {
        plan.unload.iter().map(|unload| (unload.registered_type, unload.last_used, unload.reason)).collect()
    }

    #[test]
    fn idle_and_empty_aggregates_are_due_in_the_order_of_types_and_of_their_last_use() {
        let plan = plan(POLICY.due(20), &[(1, 5, false), (1, 11, false), (0, 19, true), (0, 10, false)]);
        assert_eq!(unloaded(&plan), [(0, 10, Reason::Idle), (0, 19, Reason::Empty), (1, 5, Reason::Idle)]);
        assert_eq!((plan.considered, plan.none_due_before), (4, 15));
    }

    #[test]
    fn no_aggregate_is_idle_before_the_node_has_run_for_long_enough() {
        let plan = plan(POLICY.due(9), &[(0, 0, false)]);
        assert_eq!((unloaded(&plan), plan.none_due_before), (vec![], 10));
    }

    #[test]
    fn at_the_limit_no_room_is_made_and_over_it_one_more_than_necessary_goes_for_each_32() {
        assert!(POLICY.over_limit(4).is_none());
        let large = Policy { idle_after: 10, max_live: 64 };
        let candidates: Vec<_> = (0..66).map(|last_used| (0, last_used, false)).collect();
        assert_eq!(plan(large.over_limit(66).unwrap(), &candidates).unload.len(), 4);
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let candidates = [5, 3, 9, 1, 7].map(|last_used| (0, last_used, false));
        let plan = plan(POLICY.over_limit(7).unwrap(), &candidates);
        assert_eq!(unloaded(&plan), [1, 3, 5].map(|last_used| (0, last_used, Reason::Limit)));
    }

    #[test]
    fn asking_for_more_than_there_are_gives_all() {
        assert!(least_recently_used(Vec::new(), 3).is_empty());
        assert_eq!(plan(POLICY.over_limit(7).unwrap(), &[(0, 1, false)]).unload.len(), 1);
    }

    #[test]
    fn a_drain_unloads_all_in_the_order_of_types_and_of_their_last_use() {
        let plan = plan(Policy::drain(), &[(1, 5, false), (0, 9, true), (0, 7, false)]);
        assert_eq!(unloaded(&plan), [(0, 7, Reason::Drain), (0, 9, Reason::Drain), (1, 5, Reason::Drain)]);
    }
}
