//! Waiting for the log to grow, without slowing down the commands that make it grow.

use std::time::Duration;

use dormouse_kernel::Position;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The pause of a stream that has found no wanted event. On a busy log, a thousand streams that wait for something rare
/// would otherwise all wake at every commit. An event after a quiet time, or for a stream that wants everything, is not
/// delayed.
const PAUSE: Duration = Duration::from_millis(100);

/// When a stream may read the log again.
#[derive(Debug, Default)]
pub(in crate::http) struct ReadPause {
    until: Option<Instant>,
}

impl ReadPause {
    /// Begins a pause, because the stream has read further and found no wanted event.
    pub(in crate::http) fn found_nothing(&mut self) {
        self.until = Some(Instant::now() + PAUSE);
    }

    /// Waits until the log has grown past `position` and the pause is over.
    ///
    /// The head is the one that this node's writer announces: while the writer owns the journal, no other node appends,
    /// and after that this node ends. So a stream never asks the store whether there are more events, however many
    /// streams there are.
    pub(in crate::http) async fn wait_past(&mut self, head: &mut watch::Receiver<Position>, position: Position) {
        if head.wait_for(|head| *head > position).await.is_err() {
            // The writer has ended: there will be no more events, and the streams are about to end.
            std::future::pending::<()>().await;
        }
        if let Some(until) = self.until {
            sleep_until(until).await;
        }
    }
}
