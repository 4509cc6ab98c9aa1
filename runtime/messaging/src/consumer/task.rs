//! The task of one consumer: runs session after session, and pauses between them if the store fails.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use dormouse_journal::Journal;
use dormouse_kernel::{Backoff, Clock, Position};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tracing::{error, warn};

use super::session::Session;
use super::{Begin, Consumer, ConsumerState, ConsumerStatus, Request};
use crate::consumer_name::ConsumerName;
use crate::limits::{RESTART_PAUSE, RESTART_PAUSE_MAX};
use crate::store::{self, Changes, Progress, QueueStore, Switch};
use crate::watermarks::beginning_after;

/// What all consumers of a process share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) journal: Journal,
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shards: u16,
    /// The runtime on which domain code runs.
    pub(crate) threads: Handle,
}

impl Shared {
    /// How far a consumer has come. One that has never run begins, durably.
    pub(crate) async fn progress_or_begin(&self, name: &ConsumerName, begin: Begin) -> Result<Progress, store::Error> {
        let head = *self.journal.head().borrow();
        if let Some(progress) = self.store.progress(name).await? {
            return Ok(progress);
        }
        let begin = if begin == Begin::Now { head } else { Position::ZERO };
        let progress = beginning_after(begin, self.shards);
        let changes = Changes { progress: progress.shards.clone(), ..Changes::default() };
        self.store.commit(name, &changes).await?;
        Ok(progress)
    }
}

/// The order to stop: jobs in progress may take until the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) deadline: Instant,
}

/// The task of one consumer.
pub(crate) struct ConsumerTask {
    pub(crate) consumer: Consumer,
    pub(crate) shared: Shared,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) switch: watch::Receiver<Switch>,
    pub(crate) stop: watch::Receiver<Option<Stop>>,
    pub(crate) status: watch::Sender<ConsumerStatus>,
}

impl ConsumerStatus {
    pub(crate) const fn starting() -> Self {
        Self { state: ConsumerState::Starting, position: Position::ZERO, ready: 0, running: 0, breaker: None }
    }
}

impl ConsumerTask {
    /// Background task: follows the log until it is told to stop.
    pub(crate) async fn run(mut self) {
        let backoff = Backoff { first: RESTART_PAUSE, longest: RESTART_PAUSE_MAX };
        let consumer = self.consumer.name.clone();
        let mut failures = 0;
        while self.stop.borrow().is_none() {
            let started = Instant::now();
            let ended = match Session::open(&self.consumer, &self.shared, &self.switch).await {
                // Domain code runs in jobs of its own, and here only to choose events. A panic is a bug, and must not
                // end the consumer for good.
                Ok(session) => match AssertUnwindSafe(session.run(&mut self)).catch_unwind().await {
                    Ok(ended) => ended,
                    Err(_) => Err(unavailable("the consumer panicked")),
                },
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => break,
                Err(store::Error::Fenced) => {
                    error!(%consumer, "another node has taken over the queues, the consumer has ended");
                    self.report(ConsumerState::Failed(store::Error::Fenced.to_string()));
                    return;
                }
                Err(error) => {
                    failures = if started.elapsed() > RESTART_PAUSE_MAX { 1 } else { failures + 1 };
                    let pause = backoff.pause_after(failures);
                    warn!(%consumer, %error, ?pause, "a consumer cannot store its progress, it starts again");
                    self.report(ConsumerState::Retrying(error.to_string()));
                    tokio::select! {
                        _ = self.stop.changed() => {}
                        () = sleep(pause) => {}
                    }
                }
            }
        }
        self.report(ConsumerState::Stopped);
    }

    fn report(&self, state: ConsumerState) {
        self.status.send_modify(|status| status.state = state);
    }
}

fn unavailable(reason: &str) -> store::Error {
    store::Error::Storage(dormouse_storage::Error::Unavailable(reason.to_owned()))
}
