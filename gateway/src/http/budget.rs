//! How much requests may hold of what was read for them, all together.
//!
//! A page is bounded, but there may be as many of them at a time as there are connections, and their clients may be slow.
//! So whoever reads takes a share first, and keeps it until what was read has been written: readers wait for each other,
//! in order, and the memory of all of them has a bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::problem::{self, Problem};

/// What a permit stands for, in bytes: a semaphore counts no further than 32 bits.
const UNIT: u64 = 1 << 10;

/// Until some client has taken its answer, perhaps.
const SOON: Duration = Duration::from_secs(1);

/// Memory that readers share. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    key: &'static str,
    units: Arc<Semaphore>,
    share: u32,
}

/// The part of one reader. Dropping it lets the next one read.
#[derive(Debug)]
pub(in crate::http) struct Share {
    _units: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// `total` bytes, of which each reader takes `share`; one reader may always read. `key` names the setting.
    pub(crate) fn new(key: &'static str, total: u64, share: u64) -> Self {
        let units = |bytes: u64| u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        let share = units(share);
        let total = units(total).max(share) as usize;
        Self { key, units: Arc::new(Semaphore::new(total.min(Semaphore::MAX_PERMITS))), share }
    }

    /// Waits for a share; whoever came first has it first.
    pub(in crate::http) fn share(&self) -> impl Future<Output = Share> + Send + 'static {
        let units = Arc::clone(&self.units).acquire_many_owned(self.share);
        // Nobody closes it.
        async move { Share { _units: units.await.ok() } }
    }

    /// The same, but no longer than until the deadline.
    pub(in crate::http) async fn share_by(&self, deadline: Instant) -> Result<Share, Problem> {
        let Ok(share) = timeout_at(deadline, self.share()).await else {
            let detail = format!("too much that was read waits to be taken by its clients ({})", self.key);
            return Err(Problem::new(&problem::NODE_OVERLOADED, detail).retry_after(SOON));
        };
        Ok(share)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[tokio::test]
    async fn readers_wait_until_there_is_a_share_and_come_again_if_there_is_none() {
        let budget = Budget::new("a.budget", 100 * UNIT, 40 * UNIT);
        let (one, other) = (budget.share().await, budget.share().await);
        let refused = budget.share_by(Instant::now()).await.unwrap_err();
        assert_eq!(refused.into_response().status(), 503);
        drop(one);
        let again = budget.share_by(Instant::now()).await.unwrap();
        drop((other, again));
        assert_eq!(budget.units.available_permits(), 100);
    }

    #[tokio::test]
    async fn a_share_larger_than_everything_is_one_reader_at_a_time() {
        let budget = Budget::new("a.budget", UNIT, 40 << 20);
        let only = budget.share().await;
        budget.share_by(Instant::now()).await.unwrap_err();
        drop(only);
        let _next = budget.share_by(Instant::now()).await.unwrap();
    }
}
