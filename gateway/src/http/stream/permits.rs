//! The open streams: their limit, and their end at a shutdown.

use std::sync::Arc;
use std::time::Duration;

use dormouse_config::Config;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::http::budget::Budget;
use crate::http::problem::{self, Problem};

/// The usual time until another stream has ended.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The limit of open streams. Clones are cheap and share the limit.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    permits: Arc<Semaphore>,
    max: usize,
    heartbeat: Duration,
    ending: Arc<watch::Sender<bool>>,
    large_events: Budget,
}

/// The permit of one stream. Dropping it lets another stream open.
#[derive(Debug)]
pub(in crate::http) struct StreamPermit {
    heartbeat: Duration,
    ending: watch::Receiver<bool>,
    large_events: Budget,
    _permit: OwnedSemaphorePermit,
}

impl Streams {
    pub(crate) fn from_config(config: &Config) -> Self {
        let Config { gateway, journal, .. } = config;
        let max = gateway.max_streams.get().min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(max)),
            max,
            heartbeat: gateway.stream_heartbeat,
            ending: Arc::new(watch::Sender::new(false)),
            large_events: Budget::new(
                "gateway.stream_budget",
                gateway.stream_budget.as_u64(),
                journal.event_size_max.as_u64(),
            ),
        }
    }

    /// Ends all streams, and opens no more. A shutdown that waits for requests would otherwise wait for streams, too.
    pub(crate) fn end(&self) {
        self.ending.send_replace(true);
    }

    pub(in crate::http) fn max(&self) -> usize {
        self.max
    }

    pub(in crate::http) fn open_now(&self) -> usize {
        self.max - self.permits.available_permits()
    }

    /// A channel that turns true when all streams must end.
    pub(in crate::http) fn ending(&self) -> Result<watch::Receiver<bool>, Problem> {
        let ending = self.ending.subscribe();
        if *ending.borrow() { Err(dormouse_engine::QueryError::Draining.into()) } else { Ok(ending) }
    }

    /// Takes a permit for one more stream.
    pub(in crate::http) fn open(&self) -> Result<StreamPermit, Problem> {
        let ending = self.ending()?;
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| {
            let detail = format!("{} streams are open: try again later, or raise gateway.max_streams", self.max);
            Problem::new(&problem::TOO_MANY_STREAMS, detail).retry_after(RETRY_AFTER)
        })?;
        let large_events = self.large_events.clone();
        Ok(StreamPermit { heartbeat: self.heartbeat, ending, large_events, _permit: permit })
    }
}

impl StreamPermit {
    /// The longest time without a message.
    pub(super) fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// The memory for events that are larger than a page.
    pub(super) fn large_events(&self) -> &Budget {
        &self.large_events
    }

    pub(super) fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// Waits until all streams must end.
    pub(super) async fn ending(&mut self) {
        // The sender is dropped only with the server, which ends the stream as well.
        let _ending = self.ending.wait_for(|ending| *ending).await;
    }
}
