//! What this store knows of the views it moves, so that no replica's answer is older than what it has committed.
//!
//! An answer carries its [`Mark`]. It is good if it has all that was known when it was asked for. Whatever makes that
//! uncertain (a build that takes another's place, a commit whose outcome is unknown, another process that moves the
//! view) makes the store forget: without a mark to compare with, only the primary is asked, and its answers teach again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dormouse_kernel::Position;
use dormouse_storage::postgres::{QueryFuture, ReplicaProbe};
use sqlx::{PgConnection, query_as};

use super::{position, unsigned};
use crate::store::BuildNumber;

/// Which state of which build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) build: BuildNumber,
    pub(super) position: Position,
    /// The transaction that wrote the build's row, on a replica as on the primary. The position is not enough: when
    /// parked events are projected, documents change and it does not.
    pub(super) row: i64,
}

impl Mark {
    pub(super) fn from_row((build, at, row): (i64, i64, i64)) -> Self {
        Self { build: BuildNumber(unsigned(build)), position: position(at), row }
    }

    /// Whether all of another state is in this one.
    pub(super) fn includes(self, other: Self) -> bool {
        self == other || self.build == other.build && self.position > other.position
    }
}

/// What is known of all views.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<String, View>>);

#[derive(Debug, Default)]
struct View {
    /// Whether it is this store that moves it. What others move is read from the primary: their commits are not known.
    is_ours: bool,
    served: Option<BuildNumber>,
    marks: HashMap<BuildNumber, Mark>,
    /// Counts what makes the served build uncertain.
    changes: u64,
}

/// When a question was asked: what is learned from its answer holds if nothing was forgotten since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked(u64);

impl Known {
    /// The mark that an answer must include, if it is known.
    pub(super) fn served(&self, view: &str) -> Option<Mark> {
        let views = self.views();
        let view = views.get(view).filter(|view| view.is_ours)?;
        view.marks.get(&view.served?).copied()
    }

    /// A question is about to be asked.
    pub(super) fn asked(&self, view: &str) -> Asked {
        Asked(self.views().get(view).map_or(0, |view| view.changes))
    }

    /// This store is about to move a view.
    pub(super) fn is_ours(&self, name: &str) {
        self.view(name, |view| view.is_ours = true);
    }

    /// This was found to be served: by the primary, or by a replica that is as far.
    pub(super) fn shown(&self, name: &str, asked: Asked, mark: Mark) {
        let mut views = self.views();
        if let Some(view) = views.get_mut(name).filter(|view| view.is_ours && Asked(view.changes) == asked) {
            view.served = Some(mark.build);
            let known = view.marks.entry(mark.build).or_insert(mark);
            // At the same position only a commit tells which came later.
            if mark.position > known.position {
                *known = mark;
            }
        }
    }

    /// A build was moved on, and is served or is not.
    pub(super) fn committed(&self, name: &str, asked: Asked, mark: Mark, is_served: bool) {
        self.view(name, |view| {
            view.is_ours = true;
            view.marks.insert(mark.build, mark);
            if is_served && Asked(view.changes) == asked {
                view.served = Some(mark.build);
            }
        });
    }

    /// What is served may be something else, from now on or since before.
    pub(super) fn forget(&self, name: &str) {
        self.view(name, |view| *view = View { is_ours: view.is_ours, changes: view.changes + 1, ..View::default() });
    }

    /// Somebody else moves the view, until it is prepared here.
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

/// Replicas are looked at for how far they have the builds that are served here.
impl ReplicaProbe for Known {
    type Progress = HashMap<BuildNumber, Mark>;

    const SUBJECT: &'static str = "views";

    fn probe(connection: &mut PgConnection) -> QueryFuture<'_, Self::Progress> {
        Box::pin(async move {
            let select = query_as("SELECT build, position, xmin::text::bigint FROM builds WHERE is_serving");
            let rows: Vec<(i64, i64, i64)> = select.fetch_all(connection).await?;
            Ok(rows.into_iter().map(Mark::from_row).map(|mark| (mark.build, mark)).collect())
        })
    }

    fn lag(&self, seen: &Self::Progress) -> u64 {
        let views = self.views();
        let served = views.values().filter_map(|view| view.marks.get(&view.served?));
        let lag = |known: &Mark| {
            let there = seen.get(&known.build).map_or(0, |mark| mark.position.0);
            known.position.0.saturating_sub(there)
        };
        served.map(lag).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(build: u64, at: u64, row: i64) -> Mark {
        Mark { build: BuildNumber(build), position: Position(at), row }
    }

    #[test]
    fn a_state_at_the_same_position_is_another_if_another_transaction_made_it() {
        assert!(mark(1, 5, 7).includes(mark(1, 5, 7)));
        assert!(mark(1, 6, 8).includes(mark(1, 5, 7)));
        assert!(!mark(1, 5, 7).includes(mark(1, 5, 8)), "parked events were projected since");
        assert!(!mark(1, 4, 6).includes(mark(1, 5, 7)));
        assert!(!mark(2, 9, 9).includes(mark(1, 5, 7)), "another build");
    }

    #[test]
    fn what_was_learned_before_something_changed_is_not_believed() {
        let known = Known::default();
        let early = known.asked("orders");
        known.shown("orders", early, mark(1, 5, 7));
        assert_eq!(known.served("orders"), None, "whoever moves it does not tell us");
        known.is_ours("orders");
        known.shown("orders", early, mark(1, 5, 7));
        assert_eq!(known.served("orders"), Some(mark(1, 5, 7)));
        known.forget("orders");
        known.shown("orders", early, mark(1, 5, 7));
        known.committed("orders", early, mark(1, 6, 8), true);
        assert_eq!(known.served("orders"), None, "another build may have taken its place meanwhile");
        known.shown("orders", known.asked("orders"), mark(2, 6, 9));
        assert_eq!(known.served("orders"), Some(mark(2, 6, 9)));
        known.is_theirs("orders");
        known.shown("orders", known.asked("orders"), mark(2, 6, 9));
        assert_eq!(known.served("orders"), None);
    }

    #[test]
    fn an_older_answer_does_not_lower_what_is_known() {
        let known = Known::default();
        let asked = known.asked("orders");
        known.committed("orders", asked, mark(1, 5, 7), true);
        known.committed("orders", asked, mark(1, 5, 8), true);
        known.shown("orders", asked, mark(1, 4, 6));
        known.shown("orders", asked, mark(1, 5, 7));
        assert_eq!(known.served("orders"), Some(mark(1, 5, 8)));
        known.shown("orders", asked, mark(1, 6, 9));
        assert_eq!(known.served("orders"), Some(mark(1, 6, 9)));
    }

    #[test]
    fn a_replica_is_as_far_behind_as_the_view_that_is_furthest_behind() {
        let known = Known::default();
        known.committed("orders", known.asked("orders"), mark(1, 50, 1), true);
        known.committed("totals", known.asked("totals"), mark(2, 40, 1), true);
        known.committed("totals", known.asked("totals"), mark(3, 90, 1), false);
        let seen = |marks: &[Mark]| marks.iter().map(|mark| (mark.build, *mark)).collect();
        assert_eq!(known.lag(&seen(&[mark(1, 50, 1), mark(2, 33, 1)])), 7);
        assert_eq!(known.lag(&seen(&[mark(1, 50, 1)])), 40);
        assert_eq!(known.lag(&seen(&[mark(1, 51, 1), mark(2, 40, 1)])), 0);
    }
}
