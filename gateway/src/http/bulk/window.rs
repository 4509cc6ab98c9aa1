//! The lines of a bulk request that are in progress: it decides which commands may begin, and whose answer is sent
//! next.
//!
//! Answers are sent in the order of the lines. The commands of one aggregate are carried out one after the other, in
//! the order of their lines, and those of different aggregates at the same time. If a line's command was not carried
//! out and may be sent again, all later lines of its aggregate are held back: otherwise the repeated command would be
//! carried out after them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// The place of a line's answer in the order of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AnswerSlot(u64);

/// Lines `L` of aggregates `K`.
#[derive(Debug)]
pub(super) struct Window<K, L> {
    /// The number of answers that were taken.
    taken: u64,
    answers: VecDeque<Option<Vec<u8>>>,
    /// Aggregates with a running command, with the lines that wait for it.
    busy: HashMap<K, VecDeque<L>>,
    held_back: HashSet<K>,
}

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineAction<L> {
    /// Begin its command.
    Begin(L),
    /// Refuse the line, because its aggregate is held back.
    HoldBack(L),
}

impl<K: Clone + Eq + Hash, L> Window<K, L> {
    pub(super) fn new() -> Self {
        Self { taken: 0, answers: VecDeque::new(), busy: HashMap::new(), held_back: HashSet::new() }
    }

    /// The number of lines whose answers were not taken yet.
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// The number of aggregates that are held back.
    pub(super) fn held_back(&self) -> usize {
        self.held_back.len()
    }

    /// Reserves the slot for the answer to the next line.
    pub(super) fn reserve(&mut self) -> AnswerSlot {
        self.answers.push_back(None);
        AnswerSlot(self.taken + self.answers.len() as u64 - 1)
    }

    /// Adds a line of an aggregate. Returns `None` if it must wait for an earlier line of the same aggregate.
    pub(super) fn enter(&mut self, aggregate: &K, line: L) -> Option<LineAction<L>> {
        if self.held_back.contains(aggregate) {
            return Some(LineAction::HoldBack(line));
        }
        match self.busy.entry(aggregate.clone()) {
            Entry::Occupied(mut behind) => {
                behind.get_mut().push_back(line);
                None
            }
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                Some(LineAction::Begin(line))
            }
        }
    }

    /// Notes the end of an aggregate's command, and returns what to do with the lines that waited for it. With
    /// `holds_back` all of them, and later ones, are refused.
    pub(super) fn end(&mut self, aggregate: &K, holds_back: bool) -> Vec<LineAction<L>> {
        if holds_back {
            self.held_back.insert(aggregate.clone());
            return self.busy.remove(aggregate).into_iter().flatten().map(LineAction::HoldBack).collect();
        }
        let next = self.busy.get_mut(aggregate).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.busy.remove(aggregate);
        }
        next.map(LineAction::Begin).into_iter().collect()
    }

    /// Stores the answer to a line.
    pub(super) fn answer(&mut self, slot: AnswerSlot, answer: Vec<u8>) {
        let at = usize::try_from(slot.0 - self.taken).unwrap_or(usize::MAX);
        if let Some(place) = self.answers.get_mut(at) {
            *place = Some(answer);
        }
    }

    /// The next answer, if it exists.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let answer = self.answers.front_mut()?.take()?;
        self.answers.pop_front();
        self.taken += 1;
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window<&'static str, u8> {
        Window::new()
    }

    #[test]
    fn answers_leave_in_the_order_of_the_lines() {
        let mut window = window();
        let slots = [window.reserve(), window.reserve(), window.reserve()];
        window.answer(slots[1], b"1".to_vec());
        assert_eq!(window.take(), None);
        window.answer(slots[0], b"0".to_vec());
        assert_eq!((window.take(), window.take(), window.take()), (Some(b"0".to_vec()), Some(b"1".to_vec()), None));
        let next = window.reserve();
        window.answer(next, b"3".to_vec());
        window.answer(slots[2], b"2".to_vec());
        assert_eq!((window.take(), window.take(), window.len()), (Some(b"2".to_vec()), Some(b"3".to_vec()), 0));
    }

    #[test]
    fn lines_of_an_aggregate_follow_each_other_and_others_do_not_wait() {
        let mut window = window();
        assert_eq!(window.enter(&"a", 1), Some(LineAction::Begin(1)));
        assert_eq!(window.enter(&"a", 2), None);
        assert_eq!(window.enter(&"a", 3), None);
        assert_eq!(window.enter(&"b", 4), Some(LineAction::Begin(4)));
        assert_eq!(window.end(&"a", false), [LineAction::Begin(2)]);
        assert_eq!(window.end(&"a", false), [LineAction::Begin(3)]);
        assert_eq!(window.end(&"a", false), []);
        assert_eq!(window.enter(&"a", 5), Some(LineAction::Begin(5)));
    }

    #[test]
    fn a_line_that_may_be_sent_again_holds_back_later_lines_of_its_aggregate() {
        let mut window = window();
        window.enter(&"a", 1);
        window.enter(&"a", 2);
        window.enter(&"b", 3);
        assert_eq!(window.end(&"a", true), [LineAction::HoldBack(2)]);
        assert_eq!(window.enter(&"a", 4), Some(LineAction::HoldBack(4)));
        assert_eq!((window.end(&"b", false), window.held_back()), (Vec::new(), 1));
        assert_eq!(window.enter(&"b", 5), Some(LineAction::Begin(5)));
    }
}
