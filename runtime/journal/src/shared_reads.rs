//! Pages of the log that several feeds want at about the same time: the first feed reads a page, the others share it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_kernel::{Position, RecordedEvent};
use tokio::sync::OnceCell;

use crate::page::PageLimit;

/// Pages that are kept. Feeds that are further apart read on their own.
const PAGES: usize = 4;

/// Lets feeds that read the same part of the log share their pages ([`Feed::sharing`](crate::Feed::sharing)). Cheap to
/// clone; clones share the same pages. It holds at most four pages, and none while fewer than two feeds read the log.
#[derive(Clone, Debug, Default)]
pub struct SharedReads(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    readers: usize,
    /// The pages that were read last.
    pages: VecDeque<Shared>,
}

#[derive(Debug)]
struct Shared {
    after: Position,
    limit: PageLimit,
    page: SharedPage,
}

/// A page of the log. The first feed that needs it reads it.
pub(crate) type SharedPage = Arc<OnceCell<Arc<[RecordedEvent]>>>;

/// A feed that reads the log.
#[derive(Debug)]
pub(crate) struct Reading(SharedReads);

impl SharedReads {
    pub(crate) fn begin(&self) -> Reading {
        self.state().readers += 1;
        Reading(self.clone())
    }

    #[cfg(test)]
    pub(crate) fn is_unused(&self) -> bool {
        let state = self.state();
        state.readers == 0 && state.pages.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave a change half made.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    /// The page after a position. `None`: no other feed reads the log.
    pub(crate) fn page(&self, after: Position, limit: PageLimit) -> Option<SharedPage> {
        let mut state = self.0.state();
        if state.readers < 2 {
            return None;
        }
        if let Some(known) = state.pages.iter().find(|known| known.after == after && known.limit == limit) {
            return Some(Arc::clone(&known.page));
        }
        if state.pages.len() >= PAGES {
            state.pages.pop_front();
        }
        let page = SharedPage::default();
        state.pages.push_back(Shared { after, limit, page: Arc::clone(&page) });
        Some(page)
    }

    /// Drops the page after that position, because it had no events yet.
    pub(crate) fn forget(&self, after: Position) {
        self.0.state().pages.retain(|known| known.after != after);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.readers -= 1;
        if state.readers < 2 {
            state.pages.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: PageLimit = PageLimit::events(10);

    #[test]
    fn readers_of_the_same_page_share_it_and_others_do_not() {
        let shared = SharedReads::default();
        let first = shared.begin();
        assert!(first.page(Position(0), LIMIT).is_none(), "there is no other feed");
        let second = shared.begin();
        let page = first.page(Position(0), LIMIT).unwrap();
        assert!(Arc::ptr_eq(&page, &second.page(Position(0), LIMIT).unwrap()));
        assert!(!Arc::ptr_eq(&page, &second.page(Position(10), LIMIT).unwrap()));
        assert!(!Arc::ptr_eq(&page, &second.page(Position(0), LIMIT.bytes(1)).unwrap()));
        second.forget(Position(0));
        assert!(!Arc::ptr_eq(&page, &second.page(Position(0), LIMIT).unwrap()));
    }

    #[test]
    fn few_pages_are_kept_and_none_when_one_reader_is_left() {
        let shared = SharedReads::default();
        let (first, second) = (shared.begin(), shared.begin());
        for number in 0..20 {
            first.page(Position(number), LIMIT).unwrap();
        }
        assert_eq!(shared.state().pages.len(), PAGES);
        drop(second);
        assert!(shared.state().pages.is_empty());
    }
}
