//! Waiting for the log to grow, without getting in the way of those who make it grow.

use std::time::Duration;

use dormouse_kernel::Position;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long a stream leaves a log alone in which it has found nothing of its own. On a busy log, a thousand streams that
/// wait for something rare would otherwise all wake with every commit. What comes after a quiet time, or to a stream
/// that wants everything, is not delayed.
const REST: Duration = Duration::from_millis(100);

/// When a stream may look at the log again.
#[derive(Debug, Default)]
pub(in crate::http) struct Rest {
    until: Option<Instant>,
}

impl Rest {
    /// It has looked, and nothing was of interest.
    pub(in crate::http) fn in_vain(&mut self) {
        self.until = Some(Instant::now() + REST);
    }

    /// Waits until the log goes on behind a position, and a look makes sense.
    ///
    /// The head is the one that this node's writer announces: while it owns the journal, nobody else appends, and after
    /// that the node ends. So a stream never asks the store whether there is more, however many streams there are.
    pub(in crate::http) async fn until_past(&mut self, head: &mut watch::Receiver<Position>, position: Position) {
        if head.wait_for(|head| *head > position).await.is_err() {
            // The writer has gone: nothing more will come, and the streams are about to be ended.
            std::future::pending::<()>().await;
        }
        if let Some(until) = self.until {
            sleep_until(until).await;
        }
    }
}
