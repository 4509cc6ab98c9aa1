//! A queue's pool of workers: how many jobs of its consumers run at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limits of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// It never has fewer workers.
    pub workers_min: usize,
    /// It never has more.
    pub workers_max: usize,
    /// With more jobs than this, it gains workers.
    pub scale_up_above: usize,
    /// With fewer jobs than this, it loses workers.
    pub scale_down_below: usize,
}

impl PoolLimits {
    /// How many workers a pool of `workers` has next, if `depth` jobs wait. It grows by a quarter and shrinks by one,
    /// so that it follows a burst within seconds and does not flap.
    #[must_use]
    pub fn next(&self, workers: usize, depth: usize) -> usize {
        let next = if depth > self.scale_up_above {
            workers.saturating_add((workers / 4).max(1))
        } else if depth < self.scale_down_below {
            workers.saturating_sub(1)
        } else {
            workers
        };
        next.clamp(self.workers_min, self.workers_max)
    }
}

/// The workers of a queue, shared by its consumers. Permits are given in the order in which they are asked for, so that
/// no consumer starves.
#[derive(Debug)]
pub(crate) struct WorkerPool {
    name: &'static str,
    limits: PoolLimits,
    permits: Arc<Semaphore>,
    workers: AtomicUsize,
    /// Jobs that are ready and wait for a worker.
    ready: AtomicUsize,
    running: AtomicUsize,
}

/// The right to run one job.
#[derive(Debug)]
pub(crate) struct WorkerPermit {
    pool: Arc<WorkerPool>,
    _permit: OwnedSemaphorePermit,
}

impl WorkerPool {
    pub(crate) fn new(name: &'static str, limits: PoolLimits) -> Self {
        let workers = limits.workers_min;
        Self {
            name,
            limits,
            permits: Arc::new(Semaphore::new(workers)),
            workers: AtomicUsize::new(workers),
            ready: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.load(Ordering::Relaxed)
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Jobs that are ready and wait for a worker.
    pub(crate) fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    /// Replaces a consumer's part of the ready jobs.
    pub(crate) fn set_ready(&self, before: usize, now: usize) {
        self.ready.fetch_add(now, Ordering::Relaxed);
        self.ready.fetch_sub(before, Ordering::Relaxed);
    }

    /// Waits for a free worker.
    pub(crate) async fn acquire(self: Arc<Self>) -> WorkerPermit {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        self.running.fetch_add(1, Ordering::Relaxed);
        WorkerPermit { _permit: permit.expect("the pool is never closed"), pool: self }
    }

    /// A worker, if one is free.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<WorkerPermit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        self.running.fetch_add(1, Ordering::Relaxed);
        Some(WorkerPermit { pool: Arc::clone(self), _permit: permit })
    }

    /// Adapts the number of workers to the number of jobs that wait. It is called about once a second.
    pub(crate) fn scale(&self) {
        let workers = self.workers();
        let next = self.limits.next(workers, self.ready());
        if next > workers {
            self.permits.add_permits(next - workers);
            self.workers.store(next, Ordering::Relaxed);
        } else {
            // A worker that has a job is not taken away.
            let forgotten = self.permits.forget_permits(workers - next);
            self.workers.store(workers - forgotten, Ordering::Relaxed);
        }
    }
}

impl Drop for WorkerPermit {
    fn drop(&mut self) {
        self.pool.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PoolLimits =
        PoolLimits { workers_min: 5, workers_max: 20, scale_up_above: 500, scale_down_below: 100 };

    #[test]
    fn workers_follow_the_depth_within_their_limits() {
        let mut workers = 5;
        let counts: Vec<_> = std::iter::repeat_with(|| {
            workers = LIMITS.next(workers, 501);
            workers
        })
        .take(10)
        .collect();
        assert_eq!(counts, [6, 7, 8, 10, 12, 15, 18, 20, 20, 20]);
        assert_eq!((LIMITS.next(20, 300), LIMITS.next(20, 99), LIMITS.next(5, 0)), (20, 19, 5));
    }

    #[tokio::test]
    async fn a_pool_that_shrinks_waits_for_its_jobs() {
        let pool = Arc::new(WorkerPool::new("default", PoolLimits { workers_min: 1, ..LIMITS }));
        pool.set_ready(0, 501);
        (0..3).for_each(|_| pool.scale());
        assert_eq!(pool.workers(), 4);
        let running: Vec<_> = (0..4).map_while(|_| pool.try_acquire()).collect();
        assert_eq!((running.len(), pool.running()), (4, 4));
        pool.set_ready(501, 0);
        pool.scale();
        assert_eq!(pool.workers(), 4);
        drop(running);
        (0..5).for_each(|_| pool.scale());
        assert_eq!((pool.workers(), pool.running()), (1, 0));
    }
}
