//! A fair queue for readers of old parts of the log: few of them read at the same time, so that commands do not wait
//! behind them.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The fair queue of readers that have fallen behind: a limited number of them read the log at the same time, first
/// come, first served. Cheap to clone; clones share the queue.
#[derive(Clone, Debug)]
pub struct CatchUps(Arc<Semaphore>);

/// A permit of the queue for reading one page of the log. Dropping it lets the next reader read.
#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl CatchUps {
    /// A queue that permits `reads` reads at the same time.
    #[must_use]
    pub fn new(reads: NonZeroU32) -> Self {
        Self(Arc::new(Semaphore::new(reads.get() as usize)))
    }

    /// Waits for the permit to read one page. For the next page the reader queues again. Dropping the future leaves the
    /// queue.
    pub async fn turn(&self) -> Turn {
        // The semaphore is never closed.
        Turn { _permit: Arc::clone(&self.0).acquire_owned().await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn readers_read_page_by_page_in_the_order_in_which_they_queued() {
        let turns = CatchUps::new(NonZeroU32::MIN);
        let first = turns.turn().await;
        let (mut second, mut third) = (Box::pin(turns.turn()), Box::pin(turns.turn()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending() && third.as_mut().poll(&mut context).is_pending());
        drop(first);
        let mut first_again = Box::pin(turns.turn());
        assert!(first_again.as_mut().poll(&mut context).is_pending() && third.as_mut().poll(&mut context).is_pending());
        let Poll::Ready(turn) = second.as_mut().poll(&mut context) else { panic!("it is the second's turn") };
        drop(turn);
        assert!(first_again.as_mut().poll(&mut context).is_pending());
        // A reader that gives up during its turn lets the next one read.
        drop(third);
        assert!(first_again.as_mut().poll(&mut context).is_ready());
    }
}
