//! The engine runs aggregate types on a journal, and drains in good order.

mod builder;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_config::Config;
use dormouse_journal::Journal;
use dormouse_kernel::{Aggregate, AggregateId, Timestamp};
use metrics::gauge;
use ractor::ActorRef;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

pub use builder::Builder;

use crate::aggregates::Aggregates;
use crate::lifecycle::Lifecycle;
use crate::node::Node;
use crate::passivation::Sweep;
use crate::registered_type::AnyType;
use crate::residency::Residency;
use crate::supervision::RootMessage;
use crate::{clock_check, metric};

/// How long closing the journal may take beyond the time for draining: one slow commit, and the last snapshots.
const CLOSING: Duration = Duration::from_secs(2);

/// A running engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    node: Arc<Node>,
    types: Arc<Vec<Arc<dyn AnyType>>>,
    handles: Arc<HashMap<&'static str, Arc<dyn Any + Send + Sync>>>,
    root: ActorRef<RootMessage>,
    /// When the newest event was recorded that the journal had at the start.
    newest_at_start: Option<Timestamp>,
}

/// The result of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// All requests that the engine had taken were answered, every aggregate sleeps, and the journal is closed.
    pub complete: bool,
    /// How many aggregates were live when the time was over.
    pub still_live: usize,
}

impl Engine {
    /// Begins to build an engine with the system's clock and ids.
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        Builder::new(config)
    }

    /// The aggregates of one type, if the engine runs it.
    #[must_use]
    pub fn aggregates<A: Aggregate>(&self) -> Option<Aggregates<A>> {
        self.handles.get(A::TYPE)?.downcast_ref::<Aggregates<A>>().cloned()
    }

    /// The journal of the engine.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.node.journal
    }

    /// The state of the engine. The receiver is notified of changes.
    #[must_use]
    pub fn lifecycle(&self) -> watch::Receiver<Lifecycle> {
        self.node.lifecycle()
    }

    /// The parts of the engine, for unit tests.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> (Arc<Node>, Arc<Vec<Arc<dyn AnyType>>>) {
        (Arc::clone(&self.node), Arc::clone(&self.types))
    }

    /// How many aggregates of each type are in memory.
    #[must_use]
    pub fn residency(&self) -> Vec<Residency> {
        self.types.iter().map(|registered| registered.residency()).collect()
    }

    /// How many aggregates are dormant, and how many bytes of memory they take.
    #[must_use]
    pub fn dormant(&self) -> (usize, usize) {
        (self.node.dormant.count(), self.node.dormant.bytes())
    }

    /// How far the clock is behind the newest event that the journal had at the start. `None` if it is not, or if
    /// clocks may differ by so much. Otherwise the clock is wrong, or was wrong when that event was recorded.
    #[must_use]
    pub fn clock_behind(&self) -> Option<Duration> {
        clock_check::ahead_of(&*self.node.clock, self.newest_at_start?)
    }

    /// How many requests are in mailboxes or wait for a commit.
    #[must_use]
    pub fn requests_under_way(&self) -> usize {
        self.node.permits.in_use()
    }

    /// Lets a quarantined aggregate be used again. Returns whether it was quarantined.
    pub fn release(&self, aggregate_type: &str, id: &AggregateId) -> bool {
        let registered = self.types.iter().find(|registered| registered.type_name() == aggregate_type);
        registered.is_some_and(|registered| registered.release(id))
    }

    /// Updates the gauges. To be called before metrics are read.
    pub fn sample_metrics(&self) {
        self.types.iter().for_each(|registered| registered.sample_metrics());
        let max = self.node.config.admission.per_node.get();
        gauge!(metric::PERMITS).set(self.node.permits.in_use() as f64);
        gauge!(metric::PERMITS_MAX).set(max as f64);
        gauge!(metric::DORMANT).set(self.node.dormant.count() as f64);
        gauge!(metric::DORMANT_BYTES).set(self.node.dormant.bytes() as f64);
        self.node.journal.sample_metrics();
    }

    /// Announces that the engine will stop soon. It serves as before until [`drain`](Self::drain). It changes nothing
    /// unless the engine is [`Running`](Lifecycle::Running).
    pub fn leave(&self) {
        self.node.leave();
    }

    /// Takes no more requests, finishes those that it has taken, puts every aggregate to sleep (with a snapshot if one
    /// is due), and closes the journal. After `timeout` it closes the journal in any case, and waits for that for some
    /// seconds at most. Acknowledged commands are durable in any case.
    pub async fn drain(&self, timeout: Duration) -> DrainReport {
        let deadline = Instant::now() + timeout;
        if self.node.is_running() {
            self.node.set_lifecycle(Lifecycle::Draining);
        }
        let sweep = Sweep { node: Arc::clone(&self.node), types: Arc::clone(&self.types) };
        let finished = timeout_at(deadline, async {
            self.node.permits.all_returned().await;
            while self.node.live.live() > 0 {
                sweep.drain();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let finished = finished.await.is_ok();
        let still_live = self.node.live.live();
        // A store that does not answer must not keep the process from ending.
        let closed = timeout_at(deadline.max(Instant::now() + CLOSING), self.node.journal.close()).await.is_ok();
        if !matches!(*self.node.lifecycle().borrow(), Lifecycle::Failed(_)) {
            self.node.set_lifecycle(Lifecycle::Stopped);
        }
        self.root.stop(None);
        DrainReport { complete: finished && closed, still_live }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("residency", &self.residency()).finish_non_exhaustive()
    }
}
