//! An aggregate type that an engine runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dormouse_encryption::PersonalFields;
use dormouse_kernel::{
    Aggregate, AggregateId, AggregateRef, AggregateType, EventCodec, OUTGOING_EVENT, Slice, shape_of, variant_names,
};
use metrics::{Gauge, Histogram, gauge, histogram};

use crate::admission::ActivationState;
use crate::directory::Directory;
use crate::error::StartError;
use crate::metric::{self, CommandMetrics};
use crate::node::Node;
use crate::passivation::Reason;
use crate::residency::Residency;
use crate::sealing::Sealing;
use crate::snapshot_sample::SnapshotSample;
use crate::snapshotting::ReplayCost;

/// One aggregate type on a node: its codec, its directories, and what is measured of it.
pub(crate) struct RegisteredType<A: Aggregate> {
    pub(crate) node: Arc<Node>,
    pub(crate) name: AggregateType,
    pub(crate) codec: EventCodec<A::Event>,
    pub(crate) replay_cost: ReplayCost,
    /// The shape of the state: snapshots of another shape are ignored.
    pub(crate) shape: u64,
    /// Decides about snapshots that other programs wrote.
    pub(crate) sample: SnapshotSample,
    /// `None` if the journal has no data keys.
    pub(crate) sealing: Option<Sealing>,
    pub(crate) mailbox_wait: Histogram,
    pub(crate) commands: Vec<CommandMetrics>,
    /// One for each shard.
    directories: Vec<Directory<A>>,
    live: AtomicUsize,
    waking: AtomicU64,
    gauges: Gauges,
}

/// A [`RegisteredType`] without its type parameter.
pub(crate) trait AnyType: Send + Sync {
    fn type_name(&self) -> &'static str;

    /// The personal values of the type's commands, if the journal has data keys.
    fn command_fields(&self) -> Option<PersonalFields>;

    /// Visits the live aggregates that no request uses.
    fn unused(&self, visit: &mut dyn FnMut(&AggregateId, &ActivationState));

    /// Puts an aggregate to sleep, unless a request uses it or has used it after `last_used`. Returns whether it was
    /// told to sleep.
    fn put_to_sleep(&self, id: &AggregateId, last_used: u64, reason: Reason) -> bool;

    /// Lets a quarantined aggregate be used again. Returns whether it was quarantined.
    fn release(&self, id: &AggregateId) -> bool;

    fn residency(&self) -> Residency;

    fn sample_metrics(&self);
}

#[derive(Debug)]
struct Gauges {
    live: Gauge,
    waking: Gauge,
    quarantined: Gauge,
}

impl<A: Aggregate> RegisteredType<A> {
    pub(crate) fn new(node: Arc<Node>) -> Result<Self, StartError> {
        let name = AggregateType::new(A::TYPE).map_err(|source| StartError::InvalidType { name: A::TYPE, source })?;
        let not_an_enum = |source| StartError::NotAnEnum { aggregate: A::TYPE, source };
        let codec = EventCodec::<A::Event>::new().map_err(not_an_enum)?;
        if codec.events().iter().any(|(event, _)| *event == OUTGOING_EVENT) {
            return Err(StartError::ReservedEvent { aggregate: A::TYPE, name: OUTGOING_EVENT });
        }
        let commands = variant_names::<A::Command>().map_err(not_an_enum)?;
        if let Some(command) = A::INTERNAL_COMMANDS.iter().find(|name| !commands.contains(name)) {
            return Err(StartError::UnknownInternalCommand { aggregate: A::TYPE, command });
        }
        let directories = (0..node.actors.shards()).map(|_| Directory::new()).collect();
        Ok(Self {
            name,
            codec,
            replay_cost: ReplayCost::default(),
            shape: shape_of::<A>(),
            sample: SnapshotSample::new(A::TYPE, node.program),
            sealing: Sealing::of::<A>(&node)?,
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

    /// A number that changes when a person is forgotten, if that concerns states of this type.
    pub(crate) fn forgets(&self) -> u64 {
        self.sealing.as_ref().map_or(0, Sealing::forgets)
    }

    pub(crate) fn aggregate(&self, id: &AggregateId) -> AggregateRef {
        AggregateRef::new(self.name.clone(), id.clone())
    }

    pub(crate) fn shard(&self, id: &AggregateId) -> u16 {
        Slice::of(self.name.as_str(), id.as_str()).shard(self.node.actors.shards())
    }

    pub(crate) fn directory(&self, id: &AggregateId) -> &Directory<A> {
        &self.directories[usize::from(self.shard(id))]
    }

    pub(crate) fn activation_started(&self) {
        self.live.fetch_add(1, Ordering::Relaxed);
        self.node.activation_started();
    }

    pub(crate) fn activation_ended(&self, activation: &ActivationState) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        self.node.live.ended(activation);
    }

    /// Counts a wake-up until the guard is dropped, also if the wake-up panics.
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

impl<A: Aggregate> AnyType for RegisteredType<A> {
    fn type_name(&self) -> &'static str {
        A::TYPE
    }

    fn command_fields(&self) -> Option<PersonalFields> {
        self.sealing.as_ref().map(|sealing| sealing.command_fields().clone())
    }

    fn unused(&self, visit: &mut dyn FnMut(&AggregateId, &ActivationState)) {
        self.directories.iter().for_each(|directory| directory.unused(visit));
    }

    fn put_to_sleep(&self, id: &AggregateId, last_used: u64, reason: Reason) -> bool {
        self.directory(id).fall_asleep(id, reason, |activation| {
            let may_sleep = activation.last_used() <= last_used;
            if may_sleep {
                activation.fall_asleep();
                self.node.live.falls_asleep();
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
            snapshots_ignored: self.sample.ignored_because(),
        }
    }

    fn sample_metrics(&self) {
        let residency = self.residency();
        self.gauges.live.set(residency.live as f64);
        self.gauges.waking.set(residency.waking as f64);
        self.gauges.quarantined.set(residency.quarantined.len() as f64);
    }
}
