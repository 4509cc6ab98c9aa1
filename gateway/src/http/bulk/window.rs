//! The lines of a bulk request that are in hand: which may begin, and whose answer is next.
//!
//! Answers leave in the order of the lines. The commands of one aggregate are carried out one after the other, in that order
//! too; those of different aggregates at the same time. A line whose command was not carried out, and may be sent again,
//! holds back all later ones of its aggregate: sent again, it would come behind them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// A line's place in the order of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn(u64);

/// Lines `L` of aggregates `K`.
#[derive(Debug)]
pub(super) struct Window<K, L> {
    /// Turns that are over: their answers were taken.
    over: u64,
    answers: VecDeque<Option<Vec<u8>>>,
    /// Aggregates with a command under way, and the lines behind it.
    busy: HashMap<K, VecDeque<L>>,
    held_back: HashSet<K>,
}

/// What is to be done with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<L> {
    /// Its command may begin.
    Begin(L),
    /// Its aggregate is held back.
    HoldBack(L),
}

impl<K: Clone + Eq + Hash, L> Window<K, L> {
    pub(super) fn new() -> Self {
        Self { over: 0, answers: VecDeque::new(), busy: HashMap::new(), held_back: HashSet::new() }
    }

    /// Lines whose answers were not taken yet.
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// Aggregates that are held back.
    pub(super) fn held_back(&self) -> usize {
        self.held_back.len()
    }

    /// The turn of one more line.
    pub(super) fn turn(&mut self) -> Turn {
        self.answers.push_back(None);
        Turn(self.over + self.answers.len() as u64 - 1)
    }

    /// A line for an aggregate: it may begin, unless it has to wait for another one of the same.
    pub(super) fn enter(&mut self, aggregate: &K, line: L) -> Option<Next<L>> {
        if self.held_back.contains(aggregate) {
            return Some(Next::HoldBack(line));
        }
        match self.busy.entry(aggregate.clone()) {
            Entry::Occupied(mut behind) => {
                behind.get_mut().push_back(line);
                None
            }
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                Some(Next::Begin(line))
            }
        }
    }

    /// The command of an aggregate has ended; if it was not carried out, those behind it are not either. What comes next.
    pub(super) fn end(&mut self, aggregate: &K, holds_back: bool) -> Vec<Next<L>> {
        if holds_back {
            self.held_back.insert(aggregate.clone());
            return self.busy.remove(aggregate).into_iter().flatten().map(Next::HoldBack).collect();
        }
        let next = self.busy.get_mut(aggregate).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.busy.remove(aggregate);
        }
        next.map(Next::Begin).into_iter().collect()
    }

    /// The answer to a line.
    pub(super) fn answer(&mut self, turn: Turn, answer: Vec<u8>) {
        let at = usize::try_from(turn.0 - self.over).unwrap_or(usize::MAX);
        if let Some(place) = self.answers.get_mut(at) {
            *place = Some(answer);
        }
    }

    /// The next answer, if it is there.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let answer = self.answers.front_mut()?.take()?;
        self.answers.pop_front();
        self.over += 1;
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
        let turns = [window.turn(), window.turn(), window.turn()];
        window.answer(turns[1], b"1".to_vec());
        assert_eq!(window.take(), None);
        window.answer(turns[0], b"0".to_vec());
        assert_eq!((window.take(), window.take(), window.take()), (Some(b"0".to_vec()), Some(b"1".to_vec()), None));
        let next = window.turn();
        window.answer(next, b"3".to_vec());
        window.answer(turns[2], b"2".to_vec());
        assert_eq!((window.take(), window.take(), window.len()), (Some(b"2".to_vec()), Some(b"3".to_vec()), 0));
    }

    #[test]
    fn lines_of_an_aggregate_follow_each_other_and_others_do_not_wait() {
        let mut window = window();
        assert_eq!(window.enter(&"a", 1), Some(Next::Begin(1)));
        assert_eq!(window.enter(&"a", 2), None);
        assert_eq!(window.enter(&"a", 3), None);
        assert_eq!(window.enter(&"b", 4), Some(Next::Begin(4)));
        assert_eq!(window.end(&"a", false), [Next::Begin(2)]);
        assert_eq!(window.end(&"a", false), [Next::Begin(3)]);
        assert_eq!(window.end(&"a", false), []);
        assert_eq!(window.enter(&"a", 5), Some(Next::Begin(5)));
    }

    #[test]
    fn a_line_that_may_be_sent_again_holds_back_those_behind_it() {
        let mut window = window();
        window.enter(&"a", 1);
        window.enter(&"a", 2);
        window.enter(&"b", 3);
        assert_eq!(window.end(&"a", true), [Next::HoldBack(2)]);
        assert_eq!(window.enter(&"a", 4), Some(Next::HoldBack(4)));
        assert_eq!((window.end(&"b", false), window.held_back()), (Vec::new(), 1));
        assert_eq!(window.enter(&"b", 5), Some(Next::Begin(5)));
    }
}
