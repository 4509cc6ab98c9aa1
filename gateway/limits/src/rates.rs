//! Rates by class and caller.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dormouse_config::{Limits, Rate};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use moka::sync::Cache;

/// The part of an IPv6 address that names a network. Whoever has one address of it has all of them.
const IPV6_NETWORK_BITS: u32 = 64;

/// How often each caller may ask. Each class of requests is counted by itself. Cheap to clone.
///
/// Each caller has a bucket that is refilled at the rate of its class, and holds its burst (the algorithm is GCRA, as in
/// ATM Forum TM 4.0). A caller that has been silent for so long that its bucket is full again is forgotten. The table
/// has at most `limits.callers` buckets for each class. When it is full, buckets that are rarely used go first
/// (TinyLFU): a crowd of new names does not give back a full bucket to a caller that asks all the time.
#[derive(Clone, Debug)]
pub struct Rates<C: Time = DefaultClock> {
    buckets: [Option<Buckets<C>>; Class::ALL.len()],
    hashes: RandomState,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// To change something.
    Commands,
    /// To read something.
    Queries,
    /// What operators do.
    Admin,
    /// To verify who sends it.
    Auth,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asker<'a> {
    /// The subject of a token or an API key.
    Subject(&'a str),
    /// A client that is not known otherwise. All addresses of an IPv6 network /64 are one.
    Address(IpAddr),
}

/// Whether a request may be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its class has no rate.
    Unlimited,
    /// It may.
    Allowed(Standing),
    /// It is one too many. It may be sent again after this time.
    Refused(Standing, Duration),
}

/// What a caller may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The class that was counted.
    pub class: Class,
    /// Requests that it may send at once.
    pub remaining: u32,
    /// The time until it may send a whole burst again.
    pub full_after: Duration,
}

/// A clock that threads share.
pub trait Time: Clock + Clone + Send + Sync + 'static {}

impl<C: Clock + Clone + Send + Sync + 'static> Time for C {}

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

/// The buckets of one class.
#[derive(Clone, Debug)]
struct Buckets<C: Time> {
    quota: Quota,
    clock: C,
    /// By a hash of the caller, so that each entry has the same size. The hash has a random key: nobody can choose a
    /// name that shares the bucket of another.
    by_asker: Cache<u64, Arc<Bucket<C>>>,
}

impl Class {
    /// All classes, in the order of their values.
    pub const ALL: [Self; 4] = [Self::Commands, Self::Queries, Self::Admin, Self::Auth];

    /// Its name, as in `[limits]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Queries => "queries",
            Self::Admin => "admin",
            Self::Auth => "auth",
        }
    }
}

impl Rates {
    /// The rates of the configuration.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self::with_clock(limits, &DefaultClock::default())
    }
}

impl<C: Time> Rates<C> {
    /// The rates of the configuration, with time from this clock.
    #[must_use]
    pub fn with_clock(limits: &Limits, clock: &C) -> Self {
        let buckets = Class::ALL.map(|class| {
            let rate = match class {
                Class::Commands => limits.commands,
                Class::Queries => limits.queries,
                Class::Admin => limits.admin,
                Class::Auth => limits.auth,
            };
            quota(rate).map(|quota| Buckets::new(quota, limits.callers.get(), clock.clone()))
        });
        Self { buckets, hashes: RandomState::new() }
    }

    /// Counts a request.
    pub fn check(&self, class: Class, asker: Asker<'_>) -> Decision {
        let Some(buckets) = &self.buckets[class as usize] else { return Decision::Unlimited };
        let bucket = buckets.of(self.hashes.hash_one(asker.network()));
        match bucket.check() {
            Ok(state) => Decision::Allowed(buckets.standing(class, &state)),
            Err(until) => {
                let standing = Standing { class, remaining: 0, full_after: buckets.quota.burst_size_replenished_in() };
                Decision::Refused(standing, until.wait_time_from(buckets.clock.now()))
            }
        }
    }

    /// The burst of a class, and the time in which an empty bucket is filled. `None`: it has no rate.
    #[must_use]
    pub fn policy(&self, class: Class) -> Option<(NonZeroU32, Duration)> {
        let quota = self.buckets[class as usize].as_ref()?.quota;
        Some((quota.burst_size(), quota.burst_size_replenished_in()))
    }
}

/// A rate that rounds to less than a nanosecond between two requests is none.
fn quota(rate: Rate) -> Option<Quota> {
    let Rate::AtMost { times, per, burst } = rate else { return None };
    Some(Quota::with_period(per.duration() / times.get())?.allow_burst(burst))
}

impl<C: Time> Buckets<C> {
    fn new(quota: Quota, callers: usize, clock: C) -> Self {
        let by_asker = Cache::builder().max_capacity(callers as u64).time_to_idle(quota.burst_size_replenished_in());
        Self { quota, clock, by_asker: by_asker.build() }
    }

    fn of(&self, asker: u64) -> Arc<Bucket<C>> {
        self.by_asker.get(&asker).unwrap_or_else(|| {
            self.by_asker.get_with(asker, || {
                let bucket = RateLimiter::direct_with_clock(self.quota, self.clock.clone());
                Arc::new(bucket.with_middleware())
            })
        })
    }

    fn standing(&self, class: Class, state: &StateSnapshot) -> Standing {
        let remaining = state.remaining_burst_capacity();
        let missing = self.quota.burst_size().get().saturating_sub(remaining);
        Standing { class, remaining, full_after: self.quota.replenish_interval() * missing }
    }
}

impl<'a> Asker<'a> {
    fn network(self) -> Self {
        match self {
            Self::Subject(_) => self,
            Self::Address(address) => match address.to_canonical() {
                IpAddr::V4(_) => Self::Address(address.to_canonical()),
                IpAddr::V6(address) => {
                    let network =
                        address.to_bits() >> (u128::BITS - IPV6_NETWORK_BITS) << (u128::BITS - IPV6_NETWORK_BITS);
                    Self::Address(IpAddr::V6(network.into()))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_config::{Config, RateUnit};
    use governor::clock::FakeRelativeClock;

    use super::*;

    const ADA: Asker<'static> = Asker::Subject("ada");
    const BEA: Asker<'static> = Asker::Subject("bea");

    fn rates(times: u32, per: RateUnit, burst: u32, callers: usize) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
        let mut limits = Config::embedded().limits;
        let number = |number| NonZeroU32::new(number).expect("tests have rates above zero");
        limits.commands = Rate::AtMost { times: number(times), per, burst: number(burst) };
        limits.callers = callers.try_into().expect("tests have callers");
        let clock = FakeRelativeClock::default();
        (Rates::with_clock(&limits, &clock), clock)
    }

    fn is_allowed<C: Time>(rates: &Rates<C>, asker: Asker<'_>) -> bool {
        matches!(rates.check(Class::Commands, asker), Decision::Allowed(_))
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let (rates, clock) = rates(10, RateUnit::Second, 3, 100);
        assert_eq!([0; 4].map(|_| is_allowed(&rates, ADA)), [true, true, true, false]);
        clock.advance(Duration::from_millis(99));
        assert!(!is_allowed(&rates, ADA));
        clock.advance(Duration::from_millis(1));
        assert_eq!([0; 2].map(|_| is_allowed(&rates, ADA)), [true, false]);
        clock.advance(Duration::from_secs(60));
        assert_eq!([0; 4].map(|_| is_allowed(&rates, ADA)), [true, true, true, false], "not more than a burst");
    }

    #[test]
    fn a_caller_is_told_what_it_may_still_do_and_when() {
        let (rates, clock) = rates(10, RateUnit::Second, 3, 100);
        let standing = |remaining, millis| Standing {
            class: Class::Commands,
            remaining,
            full_after: Duration::from_millis(millis),
        };
        assert_eq!(rates.check(Class::Commands, ADA), Decision::Allowed(standing(2, 100)));
        assert_eq!(rates.check(Class::Commands, ADA), Decision::Allowed(standing(1, 200)));
        assert_eq!(rates.check(Class::Commands, ADA), Decision::Allowed(standing(0, 300)));
        clock.advance(Duration::from_millis(40));
        let refused = Decision::Refused(standing(0, 300), Duration::from_millis(60));
        assert_eq!(rates.check(Class::Commands, ADA), refused);
        assert_eq!(rates.policy(Class::Commands), Some((NonZeroU32::new(3).unwrap(), Duration::from_millis(300))));
    }

    #[test]
    fn callers_do_not_take_each_others_share() {
        let (rates, _) = rates(1, RateUnit::Minute, 1, 100);
        let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1"];
        let askers = addresses.map(|address| Asker::Address(address.parse().unwrap()));
        for asker in [ADA, BEA, Asker::Subject("192.0.2.1")].into_iter().chain(askers) {
            assert_eq!((is_allowed(&rates, asker), is_allowed(&rates, asker)), (true, false), "{asker:?}");
        }
    }

    #[test]
    fn the_addresses_of_one_network_share_a_bucket() {
        let (rates, _) = rates(1, RateUnit::Minute, 1, 100);
        let asks = |address: &str| is_allowed(&rates, Asker::Address(address.parse().unwrap()));
        assert!(asks("2001:db8::1") && !asks("2001:db8::ffff:1"));
        assert!(asks("192.0.2.1") && !asks("::ffff:192.0.2.1"));
    }

    #[test]
    fn classes_are_counted_apart_and_a_class_without_a_rate_is_not_counted() {
        let (rates, _) = rates(1, RateUnit::Minute, 1, 100);
        assert!(is_allowed(&rates, ADA) && !is_allowed(&rates, ADA));
        for class in [Class::Queries, Class::Admin, Class::Auth] {
            assert_eq!((rates.check(class, ADA), rates.policy(class)), (Decision::Unlimited, None));
        }
    }

    /// An attacker asks on, behind a crowd of other callers.
    fn check_with_a_crowd_of(others: u32) {
        const CALLERS: usize = 1_000;
        let (rates, _) = rates(1, RateUnit::Hour, 5, CALLERS);
        while is_allowed(&rates, ADA) {}
        for number in 0..others {
            let _first = rates.check(Class::Commands, Asker::Address(IpAddr::from(number.to_be_bytes())));
            assert!(number % 50 != 0 || !is_allowed(&rates, ADA), "a new burst after {number} others");
        }
        let table = &rates.buckets[Class::Commands as usize].as_ref().expect("commands have a rate").by_asker;
        table.run_pending_tasks();
        assert!(table.entry_count() <= CALLERS as u64, "{} buckets", table.entry_count());
    }

    #[test]
    fn many_callers_take_bounded_memory_and_give_nobody_a_new_burst() {
        check_with_a_crowd_of(50_000);
    }

    #[test]
    #[ignore = "takes a minute without optimization"]
    fn two_million_callers_take_bounded_memory_and_give_nobody_a_new_burst() {
        check_with_a_crowd_of(2_000_000);
    }
}
