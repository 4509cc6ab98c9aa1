//! References to the supervising actors, which the root replaces when it restarts one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use ractor::{ActorCell, ActorRef};

use crate::passivation::SweepMessage;

/// The shards and the sweeper of a node.
#[derive(Debug)]
pub(crate) struct ActorRefs {
    shards: Vec<Replaceable<ActorCell>>,
    sweeper: Replaceable<ActorRef<SweepMessage>>,
    /// The sweeper has a request and has not begun to sweep.
    sweep_requested: AtomicBool,
}

/// Empty until the root has started the actor for the first time.
type Replaceable<T> = RwLock<Option<T>>;

impl ActorRefs {
    pub(crate) fn new(shards: u32) -> Self {
        Self {
            shards: (0..shards).map(|_| RwLock::new(None)).collect(),
            sweeper: RwLock::new(None),
            sweep_requested: AtomicBool::new(false),
        }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> u16 {
        // The configuration allows at most as many shards as there are slices.
        u16::try_from(self.shards.len()).unwrap_or(u16::MAX)
    }

    pub(crate) fn set_shard(&self, number: u16, shard: ActorCell) {
        *self.shards[usize::from(number)].write().unwrap_or_else(PoisonError::into_inner) = Some(shard);
    }

    pub(crate) fn shard(&self, number: u16) -> Option<ActorCell> {
        self.shards[usize::from(number)].read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_sweeper(&self, sweeper: ActorRef<SweepMessage>) {
        *self.sweeper.write().unwrap_or_else(PoisonError::into_inner) = Some(sweeper);
    }

    /// Asks the sweeper to make room, unless it has such a request already.
    pub(crate) fn request_sweep(&self) {
        if !self.sweep_requested.swap(true, Ordering::Relaxed) {
            let sweeper = self.sweeper.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(sweeper) = &*sweeper {
                // A sweeper that is being restarted sweeps without a request.
                let _restarting = sweeper.send_message(SweepMessage::MakeRoom);
            }
        }
    }

    /// Notes that a sweep begins. The next activation over the limit makes a new request.
    pub(crate) fn sweep_begins(&self) {
        self.sweep_requested.store(false, Ordering::Relaxed);
    }
}
