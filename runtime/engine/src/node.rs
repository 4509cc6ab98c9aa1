//! What all aggregates of a node share.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use dormouse_config::Config;
use dormouse_encryption::PersonalFields;
use dormouse_journal::Journal;
use dormouse_kernel::{Clock, IdSource, Limits, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::admission::NodePermits;
use crate::clock_check;
use crate::dormant::DormantTier;
use crate::lifecycle::Lifecycle;
use crate::live_count::LiveCount;
use crate::passivation::{self, IdleScan};
use crate::snapshotting;
use crate::supervision::{self, ActorRefs};

/// How many histories are replayed for reads of the past at the same time. A replay keeps a thread busy until its
/// history ends. More replays would take processors from commands, and would finish no earlier.
const REPLAYS: usize = 2;

/// What all aggregates of a node share.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// The runtime on which aggregates run.
    pub(crate) threads: Handle,
    /// Permits for replays on behalf of readers.
    pub(crate) replays: Semaphore,
    pub(crate) config: Config,
    /// The fingerprint of this program.
    pub(crate) program: u64,
    pub(crate) permits: Arc<NodePermits>,
    pub(crate) dormant: DormantTier,
    pub(crate) snapshots: snapshotting::Policy,
    pub(crate) passivation: passivation::Policy,
    pub(crate) idle_scan: IdleScan,
    pub(crate) failure_limits: Limits,
    pub(crate) live: LiveCount,
    pub(crate) actors: ActorRefs,
    /// The types that the application has, with the personal values of their commands. Empty until all of them are
    /// registered.
    types: OnceLock<HashMap<&'static str, Option<PersonalFields>>>,
    started: Instant,
    lifecycle: watch::Sender<Lifecycle>,
}

impl Node {
    pub(crate) fn new(
        journal: Journal,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        threads: Handle,
        config: Config,
        program: u64,
    ) -> Self {
        let dormant_budget = usize::try_from(config.passivation.dormant_budget.as_u64()).unwrap_or(usize::MAX);
        Self {
            journal,
            clock,
            ids,
            threads,
            program,
            replays: Semaphore::new(REPLAYS),
            permits: Arc::new(NodePermits::new(config.admission.per_node.get())),
            dormant: DormantTier::new(dormant_budget),
            snapshots: snapshotting::Policy::from_config(&config.snapshots),
            passivation: passivation::Policy::from_config(&config.passivation),
            idle_scan: IdleScan::default(),
            failure_limits: supervision::limits(&config.supervision),
            live: LiveCount::default(),
            actors: ActorRefs::new(config.runtime.shards.get()),
            types: OnceLock::new(),
            started: Instant::now(),
            lifecycle: watch::Sender::new(Lifecycle::Running),
            config,
        }
    }

    /// Sets all aggregate types, with the personal values of their commands, once.
    pub(crate) fn set_types(&self, types: impl Iterator<Item = (&'static str, Option<PersonalFields>)>) {
        self.types.get_or_init(|| types.collect());
    }

    /// Whether the application has an aggregate type of this name.
    pub(crate) fn knows_type(&self, name: &str) -> bool {
        self.types.get().is_some_and(|types| types.contains_key(name))
    }

    /// The personal values of the commands of a type. `None` if there is no such type.
    pub(crate) fn command_fields(&self, name: &str) -> Option<&PersonalFields> {
        self.types.get()?.get(name)?.as_ref()
    }

    /// Milliseconds since the node started. It is coarse and cheap, and never runs backwards.
    pub(crate) fn now(&self) -> u64 {
        self.milliseconds(Instant::now())
    }

    /// The same for a time that the caller has read already.
    pub(crate) fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// The time of the events that an aggregate decides now, if its last event was recorded at `last`.
    pub(crate) fn time_after(&self, last: Timestamp) -> Timestamp {
        clock_check::time_after(last, self.clock.now(), self.config.runtime.time_carried_max)
    }

    /// Counts an activation that starts. Asks the sweeper to make room if more aggregates are live than allowed.
    pub(crate) fn activation_started(&self) {
        if self.passivation.is_over_limit(self.live.started()) {
            self.actors.request_sweep();
        }
    }

    pub(crate) fn lifecycle(&self) -> watch::Receiver<Lifecycle> {
        self.lifecycle.subscribe()
    }

    pub(crate) fn set_lifecycle(&self, lifecycle: Lifecycle) {
        self.lifecycle.send_replace(lifecycle);
        if self.is_stopping() {
            self.permits.close();
        }
    }

    /// Changes the lifecycle from running to leaving. Changes nothing in any other state.
    pub(crate) fn leave(&self) {
        self.lifecycle.send_if_modified(|lifecycle| {
            let was_running = *lifecycle == Lifecycle::Running;
            if was_running {
                *lifecycle = Lifecycle::Leaving;
            }
            was_running
        });
    }

    pub(crate) fn is_running(&self) -> bool {
        self.lifecycle.borrow().is_running()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        !self.is_running()
    }
}
