//! What this store knows of the views that it moves. It accepts no result of a replica that is older.
//!
//! The result of a read carries its [`BuildMark`]. The result is accepted if it includes all that was known when the
//! read began. The store forgets what it knows when that becomes uncertain: when a build takes the place of another,
//! when a view is prepared after a commit with an unknown outcome, when another process moves the view. Without a mark
//! to compare with, only the primary is asked, and its results give a mark again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dormouse_kernel::Position;
use dormouse_storage::postgres::{QueryFuture, ReplicaProbe};
use sqlx::{PgConnection, query_as};

use crate::store::BuildNumber;
use crate::store::numbers::{build_number, position};
use dormouse_storage::OutOfRange;

/// Identifies a state of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BuildMark {
    pub(super) build: BuildNumber,
    pub(super) position: Position,
    /// The transaction that wrote the build's row; it is the same on a replica and on the primary. The position is not
    /// enough: when parked events are projected, documents change and the position does not.
    pub(super) row: i64,
}

impl BuildMark {
    pub(super) fn from_row((build, at, row): (i64, i64, i64)) -> Result<Self, OutOfRange> {
        Ok(Self { build: build_number("builds.build", build)?, position: position("builds.position", at)?, row })
    }

    /// Whether this state includes another one.
    pub(super) fn includes(self, other: Self) -> bool {
        self == other || self.build == other.build && self.position > other.position
    }
}

/// What is known of all views.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<String, View>>);

#[derive(Debug, Default)]
struct View {
    /// Whether this store moves the view. Views that another process moves are read from the primary: its commits are
    /// not known here.
    is_ours: bool,
    served: Option<BuildNumber>,
    marks: HashMap<BuildNumber, BuildMark>,
    /// Counts the events that make the served build uncertain.
    changes: u64,
}

/// The value of [`View::changes`] before a read began. The result of the read is noted only if the value is still the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changes(u64);

impl Known {
    /// The mark that a result must include, if it is known.
    pub(super) fn served(&self, view: &str) -> Option<BuildMark> {
        let views = self.views();
        let view = views.get(view).filter(|view| view.is_ours)?;
        view.marks.get(&view.served?).copied()
    }

    /// Call it before a read or a commit begins.
    pub(super) fn changes(&self, view: &str) -> Changes {
        Changes(self.views().get(view).map_or(0, |view| view.changes))
    }

    /// Records that this store moves the view from now on.
    pub(super) fn is_ours(&self, name: &str) {
        self.view(name, |view| view.is_ours = true);
    }

    /// Records what a read of the primary, or of a replica that is as far, has shown to be served.
    pub(super) fn shown(&self, name: &str, changes: Changes, mark: BuildMark) {
        let mut views = self.views();
        if let Some(view) = views.get_mut(name).filter(|view| view.is_ours && Changes(view.changes) == changes) {
            view.served = Some(mark.build);
            let known = view.marks.entry(mark.build).or_insert(mark);
            // At the same position only a commit shows which state is later.
            if mark.position > known.position {
                *known = mark;
            }
        }
    }

    /// Records a commit of this store to a build, which is served or not.
    pub(super) fn committed(&self, name: &str, changes: Changes, mark: BuildMark, is_served: bool) {
        self.view(name, |view| {
            view.is_ours = true;
            view.marks.insert(mark.build, mark);
            if is_served && Changes(view.changes) == changes {
                view.served = Some(mark.build);
            }
        });
    }

    /// Forgets the builds of a view, because another one may be served, from now on or already.
    pub(super) fn forget(&self, name: &str) {
        self.view(name, |view| *view = View { is_ours: view.is_ours, changes: view.changes + 1, ..View::default() });
    }

    /// Records that another process moves the view, until the view is prepared here.
    pub(super) fn is_theirs(&self, name: &str) {
        self.view(name, |view| *view = View { changes: view.changes + 1, ..View::default() });
    }

    fn view(&self, name: &str, change: impl FnOnce(&mut View)) {
        let mut views = self.views();
        match views.get_mut(name) {
            Some(view) => change(view),
            None => change(views.entry(name.to_owned()).or_default()),
        }
    }

    fn views(&self) -> MutexGuard<'_, HashMap<String, View>> {
        // Every change is a single step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares the replicas with the builds that are served here.
impl ReplicaProbe for Known {
    type Progress = HashMap<BuildNumber, BuildMark>;

    const SUBJECT: &'static str = "views";

    fn probe(connection: &mut PgConnection) -> QueryFuture<'_, Self::Progress> {
        Box::pin(async move {
            let select = query_as("SELECT build, position, xmin::text::bigint FROM builds WHERE is_serving");
            let rows: Vec<(i64, i64, i64)> = select.fetch_all(connection).await?;
            let marks = rows.into_iter().map(BuildMark::from_row);
            Ok(marks.map(|mark| mark.map(|mark| (mark.build, mark))).collect::<Result<_, _>>()?)
        })
    }

    fn lag(&self, seen: &Self::Progress) -> u64 {
        let views = self.views();
        let served = views.values().filter_map(|view| view.marks.get(&view.served?));
        let lag = |known: &BuildMark| {
            let there = seen.get(&known.build).map_or(0, |mark| mark.position.0);
            known.position.0.saturating_sub(there)
        };
        served.map(lag).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(build: u64, at: u64, row: i64) -> BuildMark {
        BuildMark { build: BuildNumber(build), position: Position(at), row }
    }

    #[test]
    fn a_state_at_the_same_position_differs_if_another_transaction_wrote_it() {
        assert!(mark(1, 5, 7).includes(mark(1, 5, 7)));
        assert!(mark(1, 6, 8).includes(mark(1, 5, 7)));
        assert!(!mark(1, 5, 7).includes(mark(1, 5, 8)), "parked events were projected since");
        assert!(!mark(1, 4, 6).includes(mark(1, 5, 7)));
        assert!(!mark(2, 9, 9).includes(mark(1, 5, 7)), "another build");
    }

    #[test]
    fn a_result_from_before_a_change_is_not_noted() {
        let known = Known::default();
        let early = known.changes("orders");
        known.shown("orders", early, mark(1, 5, 7));
        assert_eq!(known.served("orders"), None, "another process may move it");
        known.is_ours("orders");
        known.shown("orders", early, mark(1, 5, 7));
        assert_eq!(known.served("orders"), Some(mark(1, 5, 7)));
        known.forget("orders");
        known.shown("orders", early, mark(1, 5, 7));
        known.committed("orders", early, mark(1, 6, 8), true);
        assert_eq!(known.served("orders"), None, "another build may be served by now");
        known.shown("orders", known.changes("orders"), mark(2, 6, 9));
        assert_eq!(known.served("orders"), Some(mark(2, 6, 9)));
        known.is_theirs("orders");
        known.shown("orders", known.changes("orders"), mark(2, 6, 9));
        assert_eq!(known.served("orders"), None);
    }

    #[test]
    fn an_older_result_does_not_lower_what_is_known() {
        let known = Known::default();
        let changes = known.changes("orders");
        known.committed("orders", changes, mark(1, 5, 7), true);
        known.committed("orders", changes, mark(1, 5, 8), true);
        known.shown("orders", changes, mark(1, 4, 6));
        known.shown("orders", changes, mark(1, 5, 7));
        assert_eq!(known.served("orders"), Some(mark(1, 5, 8)));
        known.shown("orders", changes, mark(1, 6, 9));
        assert_eq!(known.served("orders"), Some(mark(1, 6, 9)));
    }

    #[test]
    fn a_replica_is_as_far_behind_as_the_view_that_is_furthest_behind() {
        let known = Known::default();
        known.committed("orders", known.changes("orders"), mark(1, 50, 1), true);
        known.committed("totals", known.changes("totals"), mark(2, 40, 1), true);
        known.committed("totals", known.changes("totals"), mark(3, 90, 1), false);
        let seen = |marks: &[BuildMark]| marks.iter().map(|mark| (mark.build, *mark)).collect();
        assert_eq!(known.lag(&seen(&[mark(1, 50, 1), mark(2, 33, 1)])), 7);
        assert_eq!(known.lag(&seen(&[mark(1, 50, 1)])), 40);
        assert_eq!(known.lag(&seen(&[mark(1, 51, 1), mark(2, 40, 1)])), 0);
    }
}
