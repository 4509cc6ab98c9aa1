//! Where a view is not what the events amount to.

use std::fmt;
use std::time::Duration;

use super::shown::wait_for_views;
use super::{Fold, Log, Shown, VIEWS};
use crate::Client;

/// A view, or a document of it, that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which view.
    pub view: &'static str,
    /// Which document; empty if it is the view as a whole.
    pub key: String,
    /// What is wrong.
    pub wrong: Wrong,
    /// What was seen.
    pub seen: String,
}

/// What can be wrong with a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// The server does not show it.
    Unreadable,
    /// It is not where the log ends.
    Position,
    /// A document is not there.
    Missing,
    /// A document is there that should not be.
    Unexpected,
    /// A document came twice in one list.
    Repeated,
    /// A document does not say what the events amount to.
    Content,
    /// A document is said to have changed last by another event.
    Changed,
}

/// How long views may take to see the whole log.
const VIEW_BOUND: Duration = Duration::from_secs(60);

/// Where the server's views are not what its log amounts to, once they have seen all of it. Nobody may be writing.
///
/// # Panics
/// When nothing was written, which shows nothing, or a view does not get so far.
#[must_use]
#[track_caller]
pub fn differences(client: &Client) -> Vec<Difference> {
    let log = Log::read(client);
    assert!(log.head() > 0, "nothing was written: this run shows nothing");
    wait_for_views(client, log.head(), VIEW_BOUND);
    let fold = Fold::of(&log);
    let of_view = |view: &'static str| match Shown::of(client, view) {
        Ok(shown) => fold.differences(view, &shown),
        Err(said) => vec![Difference { view, key: String::new(), wrong: Wrong::Unreadable, seen: said }],
    };
    VIEWS.into_iter().flat_map(of_view).collect()
}

impl Fold {
    /// Where a view is not what the events so far amount to.
    #[must_use]
    pub fn differences(&self, view: &'static str, shown: &Shown) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut find = |key: &str, wrong, seen| found.push(Difference { view, key: key.to_owned(), wrong, seen });
        if shown.at != self.at() {
            find("", Wrong::Position, format!("it is at {}, and the log ends at {}", shown.at, self.at()));
        }
        for key in &shown.repeated {
            find(key, Wrong::Repeated, "it was on more than one page, or more than once on one".to_owned());
        }
        let expected = self.view(view);
        for (key, wanted) in &expected {
            let Some(is) = shown.documents.get(key) else {
                find(key, Wrong::Missing, format!("should be {}", wanted.document));
                continue;
            };
            if is.document != wanted.document {
                find(key, Wrong::Content, format!("is {}, should be {}", is.document, wanted.document));
            }
            if is.position != wanted.position {
                find(key, Wrong::Changed, format!("changed at {}, should have at {}", is.position, wanted.position));
            }
        }
        for (key, is) in &shown.documents {
            if !expected.contains_key(key) {
                find(key, Wrong::Unexpected, format!("is {}", is.document));
            }
        }
        found
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}/{}: {}", self.wrong, self.view, self.key, self.seen)
    }
}
