//! The status of the projections: how far each is behind the log, and whether it still makes progress.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dormouse_journal::PageLimit;
use dormouse_kernel::{Position, Timestamp};
use dormouse_projections::{Progress, State};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{Check, PING_TIMEOUT, Status};
use crate::http::Api;
use crate::http::views::{ServedView, state_name};

/// A view that is this many events behind is reported as degraded.
const BEHIND: u64 = 1000;

/// Measures how long a view has been behind without progress. It sees the view only in the calls of
/// [`observe`](Self::observe).
#[derive(Debug, Default)]
pub(in crate::http) struct StallTimer(Mutex<Option<(Position, Instant)>>);

impl StallTimer {
    /// Notes the position of a view while the log ends at `head`. Returns how long the view has made no progress;
    /// `None` if it is not behind.
    pub(in crate::http) fn observe(&self, position: Position, head: Position, now: Instant) -> Option<Duration> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if position >= head {
            *seen = None;
            return None;
        }
        let since = match *seen {
            Some((last, since)) if last == position => since,
            _ => now,
        };
        *seen = Some((position, since));
        Some(now.saturating_duration_since(since))
    }
}

impl Api {
    /// The component is never down: commands, and the other views, work without a failed projection.
    pub(super) async fn projections(&self) -> Check {
        let journal = self.engine.journal();
        let known = *journal.head().borrow();
        // Other nodes append too, and this node's head does not show their events.
        let pinged = timeout(PING_TIMEOUT, journal.ping()).await;
        let head = pinged.ok().and_then(Result::ok).map_or(known, |head| head.max(known));
        let mut worst = Status::Ok;
        let mut shown = Vec::new();
        for view in self.views.iter() {
            let progress = view.reader.progress().borrow().clone();
            let reason = self.degraded_because(view, &progress, head);
            let status = if reason.is_none() { Status::Ok } else { Status::Degraded };
            worst = worst.max(status);
            shown.push(json!({
                "name": progress.name,
                "version": view.definition().version(),
                "status": status.as_str(),
                "reason": reason,
                "state": state_name(&progress.state),
                "position": progress.position,
                "lag": lag(&progress, head),
                "begun_after": progress.begun_after,
                "parked": progress.parked,
                "last_event": { "position": progress.position, "recorded_at": self.recorded_at(progress.position).await },
            }));
        }
        Check::new(worst, [("head", json!(head)), ("projections", Value::Array(shown))])
    }

    /// What is wrong with a projection; `None` if nothing is.
    fn degraded_because(&self, view: &ServedView, progress: &Progress, head: Position) -> Option<String> {
        let stalled_for = view.stall_timer.observe(progress.position, head, Instant::now());
        let stalled = stalled_for.filter(|stalled_for| *stalled_for >= self.views.stalled_after);
        match progress.state {
            State::Stopped(_) => {
                return Some(
                    "it has stopped: the server's log has the reason, resume it when that is mended".to_owned(),
                );
            }
            State::Ended => return Some("it has ended, because the server shuts down".to_owned()),
            State::Dropped => return Some("its view was dropped: resume it to build the view again".to_owned()),
            State::Retrying(_) => {
                return Some("something failed and is retried: the server's log has the reason".to_owned());
            }
            _ => {}
        }
        let lag = lag(progress, head);
        if progress.state == State::Paused && lag > 0 {
            return Some(format!("it is paused, {lag} events behind"));
        }
        if let Some(stalled_for) = stalled {
            return Some(format!("it is {lag} events behind and has made no progress for {} s", stalled_for.as_secs()));
        }
        if lag >= BEHIND {
            return Some(format!("it is {lag} events behind"));
        }
        if progress.begun_after > Position::ZERO {
            let after = progress.begun_after;
            return Some(format!("it was reset: it lacks the events up to {after}, rebuild it to have them"));
        }
        (progress.parked > 0).then(|| format!("the events of {} aggregates are parked", progress.parked))
    }

    /// When the event at a position was decided; `None` if the journal does not answer soon.
    async fn recorded_at(&self, position: Position) -> Option<Timestamp> {
        let before = Position(position.0.checked_sub(1)?);
        let read = timeout(PING_TIMEOUT, self.engine.journal().read_log(before, PageLimit::ONE)).await;
        Some(read.ok()?.ok()?.first()?.event.recorded_at)
    }
}

fn lag(progress: &Progress, head: Position) -> u64 {
    head.0.saturating_sub(progress.position.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_makes_no_progress_since_it_was_first_seen_behind_at_a_position() {
        let (stall_timer, start) = (StallTimer::default(), Instant::now());
        let seconds = Duration::from_secs;
        let observe = |position, head, at| stall_timer.observe(Position(position), Position(head), start + seconds(at));
        assert_eq!(observe(5, 5, 0), None);
        assert_eq!(observe(5, 6, 3600), Some(seconds(0)), "it was not behind before");
        assert_eq!(observe(5, 7, 3630), Some(seconds(30)));
        assert_eq!(observe(6, 7, 3640), Some(seconds(0)), "it moves");
        assert_eq!(observe(6, 7, 3700), Some(seconds(60)));
        assert_eq!(observe(7, 7, 3710), None);
        assert_eq!(observe(7, 8, 3720), Some(seconds(0)));
    }
}
