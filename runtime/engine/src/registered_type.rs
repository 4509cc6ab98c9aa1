//! What the engine knows of one aggregate type, and what all types on a node share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use dormouse_config::Config;
use dormouse_journal::Journal;
use dormouse_kernel::{
    Aggregate, AggregateId, AggregateRef, AggregateType, Clock, EventCodec, IdSource, Limits, Slice, Timestamp,
    shape_of, variant_names,
};
use metrics::{Gauge, Histogram, gauge, histogram};
use ractor::{ActorCell, ActorRef};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::admission::{ActivationState, NodePermits};
use crate::aggregate::PassivationReason;
use crate::clock_check;
use crate::directory::Directory;
use crate::dormant::DormantTier;
use crate::engine::Lifecycle;
use crate::error::StartError;
use crate::metric::{self, CommandMetrics};
use crate::passivation::SweepMessage;
use crate::snapshot_sample::SnapshotSample;
use crate::snapshotting::{Policy, ReplayCost};
use crate::supervision;

/// PreviousActivations states that are worked out at the same time. Each keeps a thread busy for as long as its history is: more of them
/// would take the processors from commands, and finish no earlier.
const REPLAYS: usize = 2;

/// What all aggregates of a node share.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// What aggregates run on.
    pub(crate) threads: Handle,
    /// NodePermits for those who read the past.
    pub(crate) replays: Semaphore,
    pub(crate) config: Config,
    /// The fingerprint of this program.
    pub(crate) program: u64,
    pub(crate) permits: Arc<NodePermits>,
    pub(crate) dormant: DormantTier,
    pub(crate) snapshots: Policy,
    pub(crate) failure_limits: Limits,
    live: AtomicUsize,
    /// Of these, those that were told to sleep.
    falling_asleep: AtomicUsize,
    started: Instant,
    /// One supervisor per shard; replaced when the root restarts it.
    supervisors: Vec<Replaceable<ActorCell>>,
    sweeper: Replaceable<ActorRef<SweepMessage>>,
    sweep_asked: AtomicBool,
    /// Before this time, in milliseconds since the node started, no aggregate is idle for long, or without events.
    none_idle_before: AtomicU64,
    lifecycle: watch::Sender<Lifecycle>,
}

/// Empty until the root has started, then replaced at each restart.
type Replaceable<T> = RwLock<Option<T>>;

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
        let shards = config.runtime.shards.get();
        Self {
            journal,
            clock,
            ids,
            threads,
            program,
            replays: Semaphore::new(REPLAYS),
            permits: Arc::new(NodePermits::new(config.admission.per_node.get())),
            dormant: DormantTier::new(dormant_budget),
            snapshots: Policy::from_config(&config.snapshots),
            failure_limits: supervision::limits(&config.supervision),
            live: AtomicUsize::new(0),
            falling_asleep: AtomicUsize::new(0),
            started: Instant::now(),
            supervisors: (0..shards).map(|_| RwLock::new(None)).collect(),
            sweeper: RwLock::new(None),
            sweep_asked: AtomicBool::new(false),
            none_idle_before: AtomicU64::new(0),
            lifecycle: watch::Sender::new(Lifecycle::Running),
            config,
        }
    }

    pub(crate) fn shards(&self) -> u16 {
        // The configuration allows at most as many shards as there are slices.
        u16::try_from(self.supervisors.len()).unwrap_or(u16::MAX)
    }

    /// Milliseconds since the node started: coarse, cheap, never going back.
    pub(crate) fn now(&self) -> u64 {
        self.milliseconds(Instant::now())
    }

    /// The same for a time that is known already.
    pub(crate) fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// The time of what an aggregate decides now, after an event recorded at `last`.
    pub(crate) fn time_after(&self, last: Timestamp) -> Timestamp {
        clock_check::time_after(last, self.clock.now(), self.config.runtime.time_carried_max)
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn set_supervisor(&self, shard: u16, supervisor: ActorCell) {
        *self.supervisors[usize::from(shard)].write().unwrap_or_else(PoisonError::into_inner) = Some(supervisor);
    }

    pub(crate) fn supervisor(&self, shard: u16) -> Option<ActorCell> {
        self.supervisors[usize::from(shard)].read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_sweeper(&self, sweeper: ActorRef<SweepMessage>) {
        *self.sweeper.write().unwrap_or_else(PoisonError::into_inner) = Some(sweeper);
    }

    /// One more is live; past the limit the sweep is asked to make room, once.
    pub(crate) fn woke(&self) {
        let live = self.live.fetch_add(1, Ordering::Relaxed) + 1;
        if live > self.config.passivation.max_live.get() && !self.sweep_asked.swap(true, Ordering::Relaxed) {
            let sweeper = self.sweeper.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(sweeper) = &*sweeper {
                // A sweeper that is being restarted sweeps anyway.
                let _restarting = sweeper.send_message(SweepMessage::MakeRoom);
            }
        }
    }

    pub(crate) fn falls_asleep(&self) {
        self.falling_asleep.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn slept(&self, activation: &ActivationState) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        if activation.is_falling_asleep() {
            self.falling_asleep.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many are live and stay so: those told to sleep must not be replaced by further ones.
    pub(crate) fn staying(&self) -> usize {
        self.live().saturating_sub(self.falling_asleep.load(Ordering::Relaxed))
    }

    /// The sweep begins: whoever exceeds the limit from now on asks again.
    pub(crate) fn sweeping(&self) {
        self.sweep_asked.store(false, Ordering::Relaxed);
    }

    /// The next sweep looks at all live aggregates: one without events is among them, or what earlier sweeps saw is not known.
    pub(crate) fn look_again(&self) {
        self.none_idle_before.store(0, Ordering::Release);
    }

    /// Whether a look at all live aggregates can find one that is idle. If so, [`looked`](Self::looked) must follow the look.
    pub(crate) fn begins_look(&self, now: u64) -> bool {
        // An aggregate that is loaded without events during the look puts zero in place of this.
        self.none_idle_before
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |before| (before <= now).then_some(u64::MAX))
            .is_ok()
    }

    /// A look found that before this time no aggregate will be idle for long enough.
    pub(crate) fn looked(&self, none_idle_before: u64) {
        self.none_idle_before.fetch_min(none_idle_before, Ordering::AcqRel);
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

    /// From running to leaving; whatever else it is doing, it goes on with.
    pub(crate) fn leave(&self) {
        self.lifecycle.send_if_modified(|lifecycle| {
            let was_running = *lifecycle == Lifecycle::Running;
            if was_running {
                *lifecycle = Lifecycle::Leaving;
            }
            was_running
        });
    }

    /// Also while it leaves: until it drains, everybody is served.
    pub(crate) fn is_running(&self) -> bool {
        matches!(*self.lifecycle.borrow(), Lifecycle::Running | Lifecycle::Leaving)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        !self.is_running()
    }
}

/// One aggregate type on a node.
pub(crate) struct RegisteredType<A: Aggregate> {
    pub(crate) node: Arc<Node>,
    pub(crate) name: AggregateType,
    pub(crate) codec: EventCodec<A::Event>,
    pub(crate) replay_cost: ReplayCost,
    /// Of the state: snapshots of another one are ignored.
    pub(crate) shape: u64,
    /// Of snapshots that other programs wrote.
    pub(crate) sample: SnapshotSample,
    pub(crate) mailbox_wait: Histogram,
    pub(crate) commands: Vec<CommandMetrics>,
    directories: Vec<Directory<A>>,
    live: AtomicUsize,
    waking: AtomicU64,
    gauges: Gauges,
}

#[derive(Debug)]
struct Gauges {
    live: Gauge,
    waking: Gauge,
    quarantined: Gauge,
}

impl<A: Aggregate> RegisteredType<A> {
    pub(crate) fn new(node: Arc<Node>) -> Result<Self, StartError> {
        let name = AggregateType::new(A::TYPE)
            .map_err(|error| StartError::InvalidType { name: A::TYPE, reason: error.to_string() })?;
        let not_an_enum =
            |error: dormouse_kernel::NotAnEnum| StartError::NotAnEnum { aggregate: A::TYPE, reason: error.to_string() };
        let codec = EventCodec::new().map_err(not_an_enum)?;
        let commands = variant_names::<A::Command>().map_err(not_an_enum)?;
        let directories = (0..node.shards()).map(|_| Directory::new()).collect();
        Ok(Self {
            name,
            codec,
            replay_cost: ReplayCost::default(),
            shape: shape_of::<A>(),
            sample: SnapshotSample::new(A::TYPE, node.program),
            mailbox_wait: histogram!(metric::MAILBOX_WAIT),
            node,
            commands: commands.iter().map(|name| CommandMetrics::new(name)).collect(),
            directories,
            live: AtomicUsize::new(0),
            waking: AtomicU64::new(0),
            gauges: Gauges {
                live: gauge!(metric::LIVE, "aggregate_type" => A::TYPE),
                waking: gauge!(metric::WAKING, "aggregate_type" => A::TYPE),
                quarantined: gauge!(metric::QUARANTINED, "aggregate_type" => A::TYPE),
            },
        })
    }

    pub(crate) fn aggregate(&self, id: &AggregateId) -> AggregateRef {
        AggregateRef::new(self.name.clone(), id.clone())
    }

    pub(crate) fn shard(&self, id: &AggregateId) -> u16 {
        Slice::of(self.name.as_str(), id.as_str()).shard(self.node.shards())
    }

    pub(crate) fn directory(&self, id: &AggregateId) -> &Directory<A> {
        &self.directories[usize::from(self.shard(id))]
    }

    pub(crate) fn woke(&self) {
        self.live.fetch_add(1, Ordering::Relaxed);
        self.node.woke();
    }

    pub(crate) fn slept(&self, activation: &ActivationState) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        self.node.slept(activation);
    }

    /// Counts as waking until the guard goes, also when the wake-up panics.
    pub(crate) fn waking(&self) -> impl Drop + '_ {
        struct Waking<'a>(&'a AtomicU64);

        impl Drop for Waking<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }

        self.waking.fetch_add(1, Ordering::Relaxed);
        Waking(&self.waking)
    }
}

/// An aggregate that nobody uses, and when somebody last did.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) registered_type: usize,
    pub(crate) id: AggregateId,
    pub(crate) last_used: u64,
}

/// How many aggregates of a type are where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residency {
    /// The aggregate type.
    pub aggregate_type: &'static str,
    /// Aggregates with an actor in memory.
    pub live: usize,
    /// Of these, those that are being loaded right now.
    pub waking: usize,
    /// Aggregates that need an operator, and why.
    pub quarantined: Vec<(AggregateId, String)>,
    /// Why snapshots that other programs wrote are ignored, if they are.
    pub snapshots_ignored: Option<String>,
}

/// A type's aggregates, whatever the type.
pub(crate) trait AnyType: Send + Sync {
    fn type_name(&self) -> &'static str;

    /// The aggregates nobody uses.
    fn unused(&self, visit: &mut dyn FnMut(&AggregateId, &ActivationState));

    /// Puts an aggregate to sleep, unless somebody uses it or did so after `last_used`.
    fn put_to_sleep(&self, id: &AggregateId, last_used: u64, reason: PassivationReason) -> bool;

    /// Lets a quarantined aggregate be used again. Says whether it was one.
    fn release(&self, id: &AggregateId) -> bool;

    fn residency(&self) -> Residency;

    fn sample_metrics(&self);
}

impl<A: Aggregate> AnyType for RegisteredType<A> {
    fn type_name(&self) -> &'static str {
        A::TYPE
    }

    fn unused(&self, visit: &mut dyn FnMut(&AggregateId, &ActivationState)) {
        self.directories.iter().for_each(|directory| directory.unused(visit));
    }

    fn put_to_sleep(&self, id: &AggregateId, last_used: u64, reason: PassivationReason) -> bool {
        self.directory(id).fall_asleep(id, reason, |activation| {
            let may_sleep = activation.last_used() <= last_used;
            if may_sleep {
                activation.fall_asleep();
                self.node.falls_asleep();
            }
            may_sleep
        })
    }

    fn release(&self, id: &AggregateId) -> bool {
        self.directory(id).release(id)
    }

    fn residency(&self) -> Residency {
        Residency {
            aggregate_type: A::TYPE,
            live: self.live.load(Ordering::Relaxed),
            waking: usize::try_from(self.waking.load(Ordering::Relaxed)).unwrap_or(usize::MAX),
            quarantined: self.directories.iter().flat_map(Directory::quarantined).collect(),
            snapshots_ignored: self.sample.trouble(),
        }
    }

    fn sample_metrics(&self) {
        let residency = self.residency();
        self.gauges.live.set(residency.live as f64);
        self.gauges.waking.set(residency.waking as f64);
        self.gauges.quarantined.set(residency.quarantined.len() as f64);
    }
}
