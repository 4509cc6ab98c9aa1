//! Limits that are not settings, each with its reason.

use std::time::Duration;

/// Events that one consumer has in memory at most: enough for all workers of a queue to be busy, and little memory. What
/// is behind them stays in the log.
pub(crate) const WINDOW_EVENTS: usize = 1024;

/// Most bytes of events that one consumer reads at a time.
pub(crate) const PAGE_BYTES: usize = 1 << 20;

/// Jobs of one sequence that are read from the store at a time.
pub(crate) const SEQUENCE_JOBS: usize = 64;

/// Progress is stored at most this often, so that many jobs share a transaction. After a crash, the jobs that ended
/// within this time are repeated, under the same keys.
pub(crate) const COMMIT_INTERVAL: Duration = Duration::from_millis(20);

/// Changes of timers are stored at most this often: a timer that was set and has fired within this time costs one
/// change of the store, and one that fires is removed once, although both its command and the log say so. After a crash,
/// the timers that fired within this time fire again, under the same keys.
pub(crate) const TIMERS_COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// Positions that were only passed over are stored this often: after a crash they are passed over again.
pub(crate) const PASSED_INTERVAL: Duration = Duration::from_secs(2);

/// Nothing is attempted for this long after the node could not deliver anything.
pub(crate) const NOT_NOW_PAUSE: Duration = Duration::from_millis(200);

/// Most characters of an error that is kept with an attempt.
pub(crate) const ERROR_CHARS: usize = 1000;

/// The pause before a consumer starts again after its store failed, and the longest.
pub(crate) const RESTART_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause before a consumer starts again.
pub(crate) const RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Failures in a row after which the circuit breaker of a handler opens: more than one event that is wrong causes, and
/// fewer than fill the dead letters while the outside is away.
pub(crate) const BREAKER_FAILURES: u32 = 10;

/// How long a circuit breaker stays open at first.
pub(crate) const BREAKER_PAUSE: Duration = Duration::from_secs(10);

/// How long a circuit breaker stays open at most.
pub(crate) const BREAKER_PAUSE_MAX: Duration = Duration::from_secs(300);

/// Requests of operators that may wait for one consumer.
pub(crate) const REQUESTS: usize = 16;

/// How often the number of workers is adapted, and gauges are set.
pub(crate) const SCALE_INTERVAL: Duration = Duration::from_secs(1);
