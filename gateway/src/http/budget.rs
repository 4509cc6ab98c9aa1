//! A bound on the memory that all requests together take for what was read for them.
//!
//! The size of a page is bounded, but there may be one page for each connection, and clients may be slow. So a reader
//! takes a share before it reads, and keeps it until the response is written. Readers wait for each other in order, and
//! the memory of all of them is bounded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::problem::{self, Problem};

/// The bytes of one permit: a semaphore counts 32 bits.
const UNIT: u64 = 1 << 10;

/// The usual time until another client has taken its response.
const SOON: Duration = Duration::from_secs(1);

/// Memory that readers share. Clones are cheap and share the same memory.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    key: &'static str,
    units: Arc<Semaphore>,
    share: u32,
}

/// The memory of one reader. Dropping it lets the next reader continue.
#[derive(Debug)]
pub(in crate::http) struct Share {
    _units: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// A budget of `total` bytes, of which each reader takes `share`. One reader can always read. `key` is the name of
    /// the setting.
    pub(crate) fn new(key: &'static str, total: u64, share: u64) -> Self {
        let units = |bytes: u64| u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        let share = units(share);
        let total = units(total).max(share) as usize;
        Self { key, units: Arc::new(Semaphore::new(total.min(Semaphore::MAX_PERMITS))), share }
    }

    /// Waits for a share. Readers get theirs in the order of their calls.
    pub(in crate::http) fn share(&self) -> impl Future<Output = Share> + Send + 'static {
        let units = Arc::clone(&self.units).acquire_many_owned(self.share);
        // The semaphore is never closed.
        async move { Share { _units: units.await.ok() } }
    }

    /// Waits for a share until the deadline.
    pub(in crate::http) async fn share_by(&self, deadline: Instant) -> Result<Share, Problem> {
        let Ok(share) = timeout_at(deadline, self.share()).await else {
            let detail = format!("clients have not taken their responses yet: try again later, or raise {}", self.key);
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
    async fn readers_wait_for_a_share_and_are_told_to_retry_if_there_is_none() {
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
    async fn a_share_larger_than_the_budget_lets_one_reader_in_at_a_time() {
        let budget = Budget::new("a.budget", UNIT, 40 << 20);
        let only = budget.share().await;
        budget.share_by(Instant::now()).await.unwrap_err();
        drop(only);
        let _next = budget.share_by(Instant::now()).await.unwrap();
    }
}
