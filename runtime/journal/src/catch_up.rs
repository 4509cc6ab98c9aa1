//! Turns of those who read what was long ago: few at the same time, so that commands do not wait behind them.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many reads of the log may be under way at the same time for readers that have fallen behind. Cheap to clone; clones
/// share the turns.
#[derive(Clone, Debug)]
pub struct CatchUps(Arc<Semaphore>);

/// One read; dropping it lets the next reader read.
#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl CatchUps {
    /// So many reads at the same time.
    #[must_use]
    pub fn new(reads: NonZeroU32) -> Self {
        Self(Arc::new(Semaphore::new(reads.get() as usize)))
    }

    /// Waits for a turn to read one page. Whoever came first reads first; for the next page a reader queues again. Whoever
    /// drops the future leaves the queue.
    pub async fn turn(&self) -> Turn {
        // Nobody closes it.
        Turn { _permit: Arc::clone(&self.0).acquire_owned().await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn readers_take_turns_page_by_page_in_the_order_in_which_they_came() {
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
        // Who gives up while it is its turn lets the next one read.
        drop(third);
        assert!(first_again.as_mut().poll(&mut context).is_ready());
    }
}
