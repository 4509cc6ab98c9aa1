//! The progress of a rebuild, derived from polls of the server.

use std::time::Duration;

use serde::Serialize;

use super::grouped;
use crate::admin::{Projection, Rebuild};

/// Follows the rebuild of one view.
#[derive(Debug)]
pub(super) struct RebuildTracker {
    name: String,
    /// The build that was served before.
    replaced: Option<u64>,
    /// Whether a new build was seen, and how many polls in a row have not shown one.
    was_seen: bool,
    absent: usize,
}

/// The state of a rebuild.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RebuildStatus {
    /// There is no new build: the rebuild has not begun, or has just ended.
    NotVisible,
    /// `done` of `of` events are processed; `description` says the same in words.
    Progress { done: u64, of: u64, description: String },
    /// The rebuild has ended.
    Ended(RebuildOutcome),
}

/// The result of a rebuild.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct RebuildOutcome {
    pub(super) name: String,
    /// Whether the new build is served.
    pub(super) rebuilt: bool,
    /// The reason, if it is not.
    pub(super) reason: Option<String>,
    /// The build that is served now.
    pub(super) build: Option<u64>,
    pub(super) version: Option<u32>,
    pub(super) position: u64,
}

/// After so many polls without the new build, it counts as cancelled. For a moment, a build may be neither in progress
/// nor served.
const GONE_POLLS: usize = 2;

/// The same for a rebuild that was not seen yet: a projection that retries may need some seconds to begin.
const NOT_BEGUN_POLLS: usize = 50;

impl RebuildTracker {
    /// Follows a projection, given its state before the rebuild was requested.
    pub(super) fn of(before: &Projection) -> Self {
        Self { name: before.name.clone(), replaced: before.build, was_seen: false, absent: 0 }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Takes the current state of the projection. `None`: the server does not have it any more.
    pub(super) fn update(&mut self, now: Option<&Projection>) -> RebuildStatus {
        let Some(now) = now else {
            return self.ended(false, Some("the server does not have this projection any more".to_owned()), None);
        };
        if let Some(rebuild) = &now.rebuild {
            (self.was_seen, self.absent) = (true, 0);
            if rebuild.state == "stopped" {
                let reason = rebuild.reason.clone().or_else(|| Some("it has stopped".to_owned()));
                return self.ended(false, reason, Some(now));
            }
            let (done, of) = (rebuild.position, rebuild.position + rebuild.lag);
            return RebuildStatus::Progress { done, of, description: describe(rebuild) };
        }
        if now.build.is_some() && now.build != self.replaced {
            return self.ended(true, None, Some(now));
        }
        self.absent += 1;
        if self.absent < if self.was_seen { GONE_POLLS } else { NOT_BEGUN_POLLS } {
            return RebuildStatus::NotVisible;
        }
        let reason = now.reason.clone().unwrap_or_else(|| "the rebuild was cancelled".to_owned());
        self.ended(false, Some(reason), Some(now))
    }

    fn ended(&self, rebuilt: bool, reason: Option<String>, now: Option<&Projection>) -> RebuildStatus {
        RebuildStatus::Ended(RebuildOutcome {
            name: self.name.clone(),
            rebuilt,
            reason,
            build: now.and_then(|now| now.build),
            version: now.and_then(|now| now.version),
            position: now.map_or(0, |now| now.position),
        })
    }
}

/// `45 %, 57,000 events/s, 12 s left`
pub(super) fn estimate(rebuild: &Rebuild) -> String {
    let of = rebuild.position + rebuild.lag;
    let percent = rebuild.position.saturating_mul(100).checked_div(of).unwrap_or(100);
    format!("{percent} %{}", pace(rebuild))
}

/// `450,000 of 1,000,000 events, 57,000 events/s, 12 s left`
fn describe(rebuild: &Rebuild) -> String {
    let of = rebuild.position + rebuild.lag;
    format!("{} of {} events{}", grouped(rebuild.position), grouped(of), pace(rebuild))
}

fn pace(rebuild: &Rebuild) -> String {
    if rebuild.state != "running" {
        let reason = rebuild.reason.iter().map(|reason| format!(": {reason}"));
        return format!(", {}{}", rebuild.state, reason.collect::<String>());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is no negative number")]
    let rate = rebuild.events_per_second.round() as u64;
    let left = rebuild.seconds_left.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let left = left.map(|seconds| format!(", {} left", duration(Duration::from_secs_f64(seconds.min(1e9)))));
    if rate == 0 { String::new() } else { format!(", {} events/s{}", grouped(rate), left.unwrap_or_default()) }
}

/// A duration in its two largest units: `2 h 5 min`.
fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Timestamp;

    use super::*;

    fn projection(build: u64, rebuild: Option<Rebuild>) -> Projection {
        Projection {
            name: "orders".to_owned(),
            state: "running".to_owned(),
            reason: None,
            build: Some(build),
            version: Some(1),
            position: 1000,
            lag: 0,
            begun_after: 0,
            parked: 0,
            rebuild,
        }
    }

    fn rebuild(position: u64) -> Rebuild {
        Rebuild {
            build: 8,
            version: 1,
            state: "running".to_owned(),
            reason: None,
            started_at: Timestamp::UNIX_EPOCH,
            position,
            lag: 1000 - position,
            events_per_second: 1234.4,
            seconds_left: Some(75.2),
        }
    }

    fn outcome(status: RebuildStatus) -> RebuildOutcome {
        let RebuildStatus::Ended(outcome) = status else { panic!("{status:?}") };
        outcome
    }

    #[test]
    fn a_rebuild_is_over_when_another_build_is_served() {
        let mut tracker = RebuildTracker::of(&projection(7, None));
        assert_eq!(tracker.update(Some(&projection(7, None))), RebuildStatus::NotVisible);
        let description = "250 of 1,000 events, 1,234 events/s, 1 min 15 s left".to_owned();
        let seen = tracker.update(Some(&projection(7, Some(rebuild(250)))));
        assert_eq!(seen, RebuildStatus::Progress { done: 250, of: 1000, description });
        let outcome = outcome(tracker.update(Some(&projection(8, None))));
        assert_eq!((outcome.rebuilt, outcome.build, outcome.reason), (true, Some(8), None));
    }

    #[test]
    fn a_rebuild_that_was_too_quick_to_be_seen_has_ended_as_well() {
        let mut tracker = RebuildTracker::of(&projection(7, None));
        assert!(outcome(tracker.update(Some(&projection(9, None)))).rebuilt);
    }

    #[test]
    fn a_build_that_stops_or_disappears_has_failed() {
        let mut tracker = RebuildTracker::of(&projection(7, None));
        let mut stopped = rebuild(10);
        stopped.state = "stopped".to_owned();
        stopped.reason = Some("no room".to_owned());
        let seen = outcome(tracker.update(Some(&projection(7, Some(stopped)))));
        assert_eq!((seen.rebuilt, seen.reason.as_deref(), seen.build), (false, Some("no room"), Some(7)));

        let mut tracker = RebuildTracker::of(&projection(7, None));
        tracker.update(Some(&projection(7, Some(rebuild(10)))));
        assert_eq!(tracker.update(Some(&projection(7, None))), RebuildStatus::NotVisible);
        let seen = outcome(tracker.update(Some(&projection(7, None))));
        assert_eq!(seen.reason.as_deref(), Some("the rebuild was cancelled"));
        assert!(!outcome(tracker.update(None)).rebuilt);
    }

    #[test]
    fn the_estimate_contains_only_what_is_known() {
        let mut waiting = rebuild(0);
        waiting.events_per_second = 0.0;
        waiting.seconds_left = None;
        assert_eq!(estimate(&waiting), "0 %");
        waiting.state = "retrying".to_owned();
        waiting.reason = Some("the disk is full".to_owned());
        assert_eq!(describe(&waiting), "0 of 1,000 events, retrying: the disk is full");
        let mut nothing = rebuild(0);
        nothing.lag = 0;
        assert_eq!(estimate(&nothing), "100 %, 1,234 events/s, 1 min 15 s left");
        assert_eq!(duration(Duration::from_secs(7 * 3600 + 61)), "7 h 1 min");
    }
}
