//! Compares the views of a server with the fold of its log.

use std::fmt;
use std::time::Duration;

use super::served::wait_for_views;
use super::{Fold, Log, ServedView, VIEWS};
use crate::{Client, wait_for_messages};

/// A view, or one of its documents, that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The name of the view.
    pub view: &'static str,
    /// The key of the document; empty for the view as a whole.
    pub key: String,
    /// What is different.
    pub wrong: Mismatch,
    /// A description of what the server returned.
    pub seen: String,
}

/// What can be wrong with a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch {
    /// The server did not return the view.
    Unreadable,
    /// The view's position is not the end of the log.
    Position,
    /// A document is missing.
    Missing,
    /// A document exists that should not.
    Unexpected,
    /// A document appears twice in one list.
    Repeated,
    /// A document differs from the fold of the events.
    Content,
    /// The document names another event as the one that last changed it.
    Changed,
}

/// The time in which a view must move on, until it has processed the whole log.
const VIEW_BOUND: Duration = Duration::from_secs(60);

/// Waits until all messages are delivered, and the server's views have processed its whole log, and returns their
/// differences from the fold. No client may write meanwhile.
///
/// # Panics
/// When the log is empty, because then the test shows nothing, or when a view stops before the end of the log.
#[must_use]
#[track_caller]
pub fn differences(client: &Client) -> Vec<Difference> {
    wait_for_messages(client);
    let log = Log::read(client);
    assert!(log.head() > 0, "nothing was written: this run shows nothing");
    wait_for_views(client, log.head(), VIEW_BOUND);
    let fold = Fold::of(&log);
    let of_view = |view: &'static str| match ServedView::of(client, view) {
        Ok(shown) => fold.differences(view, &shown),
        Err(said) => vec![Difference { view, key: String::new(), wrong: Mismatch::Unreadable, seen: said }],
    };
    VIEWS.into_iter().flat_map(of_view).collect()
}

impl Fold {
    /// The differences of a view from the events so far.
    #[must_use]
    pub fn differences(&self, view: &'static str, shown: &ServedView) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut find = |key: &str, wrong, seen| found.push(Difference { view, key: key.to_owned(), wrong, seen });
        if shown.at != self.at() {
            find("", Mismatch::Position, format!("it is at {}, and the log ends at {}", shown.at, self.at()));
        }
        for key in &shown.repeated {
            find(key, Mismatch::Repeated, "it was on more than one page, or more than once on one".to_owned());
        }
        let expected = self.view(view);
        for (key, wanted) in &expected {
            let Some(is) = shown.documents.get(key) else {
                find(key, Mismatch::Missing, format!("should be {}", wanted.document));
                continue;
            };
            if is.document != wanted.document {
                find(key, Mismatch::Content, format!("is {}, should be {}", is.document, wanted.document));
            }
            if is.position != wanted.position {
                find(key, Mismatch::Changed, format!("changed at {}, should have at {}", is.position, wanted.position));
            }
        }
        for (key, is) in &shown.documents {
            if !expected.contains_key(key) {
                find(key, Mismatch::Unexpected, format!("is {}", is.document));
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
