//! The events of one command, which the journal appends all or not at all.

use std::sync::Arc;

use dormouse_kernel::{AggregateRef, CommandKey, NewEvent, Position, RecordedEvent, Version};

use crate::page::{Page, Room};

/// The events of one command, which follow an expected version of their aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The aggregate of the events.
    pub aggregate: AggregateRef,
    /// The version the aggregate must have; the first event gets the next one.
    pub expected: Version,
    /// The key of the command, if it has one.
    pub key: Option<AppendKey>,
    /// The events, in order, chained to the event at `expected` and to each other. Never empty, and never more than
    /// one batch holds.
    pub events: Vec<NewEvent>,
}

/// The key of a command that is appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendKey {
    /// The key.
    pub key: CommandKey,
    /// The submitter knows all keys of the aggregate up to the expected version, and this is not one of them. Then the
    /// version check suffices, and the writer does not look the key up.
    pub known_new: bool,
}

impl Append {
    /// The version after the last event.
    #[must_use]
    pub fn last_version(&self) -> Version {
        self.expected.plus(self.events.len() as u64)
    }

    /// The command key as it is stored.
    #[must_use]
    pub fn command_key(&self) -> Option<&CommandKey> {
        self.key.as_ref().map(|key| &key.key)
    }

    /// About how much memory the events take, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.events.iter().map(NewEvent::size_bytes).sum()
    }
}

/// Where the events of a command are in the log after their commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The position of the first event. The others follow without gaps.
    pub first: Position,
    /// The position of the last event.
    pub last: Position,
    /// The aggregate's version after the last event.
    pub version: Version,
}

/// An append with its position in the log.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The position of its first event.
    pub first: Position,
    /// The events.
    pub append: Arc<Append>,
}

impl Placed {
    /// The position of its last event.
    #[must_use]
    pub fn last(&self) -> Position {
        self.first.plus(self.append.events.len() as u64 - 1)
    }

    /// The events as rows.
    pub fn rows(&self) -> impl Iterator<Item = RecordedEvent> + '_ {
        (0..self.append.events.len()).map(|index| self.row(index))
    }

    /// The events of some appends after a version and a position, copied only as far as there is room.
    pub(crate) fn page<'p>(
        appends: impl Iterator<Item = &'p Self>,
        version: Version,
        position: Position,
        mut room: Room,
    ) -> Page {
        let mut page = Page::default();
        for (place, index, placed) in appends.flat_map(Self::places) {
            if place <= position || placed.version(index) <= version {
                continue;
            }
            if !room.take(placed.append.events[index].size_bytes()) {
                page.is_cut = true;
                return page;
            }
            page.events.push(placed.row(index));
        }
        page.is_cut = room.is_used_up();
        page
    }

    fn version(&self, index: usize) -> Version {
        self.append.expected.plus(index as u64 + 1)
    }

    /// One of the events as a row. The first event carries the command key.
    pub(crate) fn row(&self, index: usize) -> RecordedEvent {
        RecordedEvent {
            position: self.first.plus(index as u64),
            aggregate: self.append.aggregate.clone(),
            version: self.version(index),
            command_key: self.append.command_key().filter(|_| index == 0).cloned(),
            event: self.append.events[index].clone(),
        }
    }

    /// The position of each event, and its index in the append.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Position, usize, &Self)> {
        (0..self.append.events.len()).map(move |index| (self.first.plus(index as u64), index, self))
    }
}
