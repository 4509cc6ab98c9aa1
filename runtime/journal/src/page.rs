//! Pages: the limits of a read in events and in bytes, whichever is reached first.

use std::ops::Deref;
use std::vec;

use dormouse_kernel::RecordedEvent;

/// The limits of one read. A count alone does not bound memory: an event may have `journal.event_size_max` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Most events.
    pub events: usize,
    /// Most bytes of these events, as [`NewEvent::size_bytes`](dormouse_kernel::NewEvent::size_bytes) counts them. One
    /// event is read whatever its size, up to `largest`.
    pub bytes: usize,
    /// Bytes of the largest event that is read although it has more bytes than the page. A reader without this bound
    /// always makes progress. A reader with it may get an empty page that [is cut](Page::is_cut), and reads again once
    /// it has the memory.
    pub largest: usize,
}

impl PageLimit {
    /// The default for the bytes of a page: a thousand events of a kilobyte. Larger pages are hardly cheaper to read.
    pub const BYTES: usize = 1 << 20;

    /// One event, whatever its size.
    pub const ONE: Self = Self::events(1);

    /// No limit. For logs that are known to be small: it does not bound memory.
    pub const ALL: Self = Self { events: usize::MAX, bytes: usize::MAX, largest: usize::MAX };

    /// A limit of events, and of [`BYTES`](Self::BYTES).
    #[must_use]
    pub const fn events(events: usize) -> Self {
        Self { events, bytes: Self::BYTES, largest: usize::MAX }
    }

    /// The same limit, with other bytes.
    #[must_use]
    pub const fn bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// The same limit, with a bound for an event that is larger than the page.
    #[must_use]
    pub const fn largest(self, largest: usize) -> Self {
        Self { largest, ..self }
    }
}

/// The result of a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The events, in order.
    pub events: Vec<RecordedEvent>,
    /// A limit ended the page, so more events may follow. Otherwise the page ends where the events ended.
    pub is_cut: bool,
}

impl Deref for Page {
    type Target = [RecordedEvent];

    fn deref(&self) -> &[RecordedEvent] {
        &self.events
    }
}

impl IntoIterator for Page {
    type Item = RecordedEvent;
    type IntoIter = vec::IntoIter<RecordedEvent>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

impl<'p> IntoIterator for &'p Page {
    type Item = &'p RecordedEvent;
    type IntoIter = std::slice::Iter<'p, RecordedEvent>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.iter()
    }
}

/// What is left of a limit while a page is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    limit: PageLimit,
    events: usize,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(limit: PageLimit) -> Self {
        Self { limit, events: 0, bytes: 0 }
    }

    /// The room that a page leaves.
    pub(crate) fn beside(page: &Page, limit: PageLimit) -> Self {
        Self { limit, events: page.len(), bytes: page.iter().map(|event| event.event.size_bytes()).sum() }
    }

    /// Takes the room for one more event of this size. `false`: there is no room, and the page is cut here.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let is_first = self.events == 0 && bytes <= self.limit.largest;
        let fits = is_first || self.bytes.saturating_add(bytes) <= self.limit.bytes;
        if !fits || self.events >= self.limit.events {
            return false;
        }
        self.events += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        true
    }

    /// Whether the limit is reached, so that more events may follow a page that ends here.
    pub(crate) fn is_used_up(&self) -> bool {
        self.events >= self.limit.events || self.events > 0 && self.bytes >= self.limit.bytes
    }

    /// For how many more events there is room, if their bytes fit.
    pub(crate) fn events(&self) -> usize {
        self.limit.events.saturating_sub(self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_has_room_whatever_its_size_and_the_next_only_if_it_fits() {
        let mut room = Room::new(PageLimit::events(10).bytes(100));
        assert!(room.take(1_000) && room.is_used_up());
        assert!(!room.take(1));
        let mut room = Room::new(PageLimit::events(10).bytes(100));
        assert!(room.take(60) && !room.take(41) && room.take(40));
        assert!(room.is_used_up() && !room.take(1));
    }

    #[test]
    fn an_event_that_is_too_large_for_its_reader_ends_the_page_before_it() {
        let mut room = Room::new(PageLimit::events(10).bytes(100).largest(500));
        assert!(!room.take(501) && !room.is_used_up());
        assert!(room.take(500) && !room.take(1));
    }

    #[test]
    fn no_limit_of_bytes_makes_more_events_fit() {
        let mut room = Room::new(PageLimit { events: 2, ..PageLimit::ALL });
        assert!(room.take(usize::MAX) && room.take(usize::MAX) && !room.take(0));
        let mut room = Room::new(PageLimit::events(0).bytes(10));
        assert!(room.is_used_up() && !room.take(1));
    }
}
