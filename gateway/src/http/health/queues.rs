//! The status of the queues and of the listeners whose jobs they run.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dormouse_kernel::Position;
use dormouse_messaging::{BreakerState, ConsumerInfo, ConsumerState};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{Check, PING_TIMEOUT, StallTimer, Status};
use crate::http::Api;

/// Measures how long each listener has been behind without progress, by the listener's name.
#[derive(Debug, Default)]
pub(in crate::http) struct ListenerStallTimers(Mutex<HashMap<String, StallTimer>>);

impl ListenerStallTimers {
    /// As [`StallTimer::observe`], for one listener.
    fn observe(&self, info: &ConsumerInfo, now: Instant) -> Option<Duration> {
        let mut timers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let head = Position(info.position.0.saturating_add(info.lag));
        timers.entry(info.name.to_string()).or_default().observe(info.position, head, now)
    }
}

impl Api {
    /// The component is never down: commands, and the other listeners, work without a failed listener.
    pub(super) async fn queues(&self) -> Check {
        let (store, consumers) = match timeout(PING_TIMEOUT, self.messaging.consumers()).await {
            Ok(Ok(consumers)) => ("connected", consumers),
            Ok(Err(_)) => ("unreachable", self.messaging.states()),
            Err(_) => ("silent", self.messaging.states()),
        };
        let mut worst = if store == "connected" { Status::Ok } else { Status::Degraded };
        let mut shown = Vec::new();
        for info in &consumers {
            let reason = self.listener_degraded_because(info);
            let status = if reason.is_none() { Status::Ok } else { Status::Degraded };
            worst = worst.max(status);
            shown.push(json!({
                "name": info.name.as_str(),
                "status": status.as_str(),
                "reason": reason,
                "state": info.state.name(),
                "position": info.position,
                "lag": info.lag,
                "ready": info.ready,
                "running": info.running,
                "waiting": info.jobs.waiting,
                "blocked": info.jobs.blocked,
                "dead": info.jobs.dead,
            }));
        }
        let queues = self.messaging.queues();
        let queues = queues.iter().map(|queue| {
            json!({ "name": queue.name, "depth": queue.depth, "workers": queue.workers, "running": queue.running })
        });
        let (queues, listeners) = (Value::Array(queues.collect()), Value::Array(shown));
        Check::new(worst, [("store", store.into()), ("queues", queues), ("listeners", listeners)])
    }

    /// What is wrong with a listener; `None` if nothing is.
    fn listener_degraded_because(&self, info: &ConsumerInfo) -> Option<String> {
        let stalled_for = self.listener_stall_timers.observe(info, Instant::now());
        let stalled = stalled_for.filter(|stalled_for| *stalled_for >= self.views.stalled_after);
        let (name, lag) = (&info.name, info.lag);
        match &info.state {
            ConsumerState::Failed(_) => {
                return Some(
                    "it does not run any more: the server's log has the reason, restart the server".to_owned(),
                );
            }
            ConsumerState::Retrying(_) => {
                return Some(
                    "it cannot store its progress and tries again: the server's log has the reason".to_owned(),
                );
            }
            ConsumerState::Stopped => return Some("it has stopped, because the server shuts down".to_owned()),
            ConsumerState::Paused if lag > 0 => return Some(format!("it is paused, {lag} events behind")),
            _ => {}
        }
        if let Some(BreakerState::Open(open_for)) = info.breaker {
            let seconds = open_for.as_secs();
            return Some(format!("too many of its jobs failed in a row: its circuit breaker is open for {seconds} s"));
        }
        if info.jobs.dead > 0 {
            return Some(format!("it has {} dead letters: `failed list {name}` shows them", info.jobs.dead));
        }
        let stalled_for = stalled?;
        Some(format!("it is {lag} events behind and has made no progress for {} s", stalled_for.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use dormouse_messaging::store::JobCounts;
    use dormouse_messaging::{ConsumerKind, ConsumerName};

    use super::*;

    #[test]
    fn each_listener_has_made_no_progress_since_it_was_first_seen_behind_at_a_position() {
        let (timers, start) = (ListenerStallTimers::default(), Instant::now());
        let observe = |name: &str, position, lag, at| {
            let info = ConsumerInfo {
                name: ConsumerName::new(name).unwrap(),
                kind: ConsumerKind::Handler,
                queue: "default",
                sources: Vec::new(),
                state: ConsumerState::Running,
                position: Position(position),
                lag,
                ready: 0,
                running: 0,
                breaker: None,
                jobs: JobCounts::default(),
            };
            timers.observe(&info, start + Duration::from_secs(at)).map(|stalled_for| stalled_for.as_secs())
        };
        assert_eq!((observe("handler/one", 5, 3, 0), observe("handler/other", 8, 0, 0)), (Some(0), None));
        assert_eq!((observe("handler/one", 5, 9, 7), observe("handler/other", 8, 1, 7)), (Some(7), Some(0)));
        assert_eq!((observe("handler/one", 6, 9, 8), observe("handler/other", 8, 1, 9)), (Some(0), Some(2)));
    }
}
