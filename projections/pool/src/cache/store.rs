//! Where answers lie: in moka, bounded in number, bytes and age.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use dormouse_config::Cache as Options;
use dormouse_kernel::Position;
use moka::Equivalent;

use super::counts::Counts;
use crate::key::Key;
use crate::limits::ENTRY_BYTES;
use crate::query::Page;
use crate::store::Found;

#[derive(Clone, Debug)]
pub(super) struct CacheStore(moka::sync::Cache<Name, Answer>);

/// What a view was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Document(Key),
    /// In the form that all queries have that mean the same.
    List(Arc<str>),
}

/// The same, borrowed: a hit allocates nothing and counts no references but the answer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asked<'a> {
    Document(&'a Key),
    List(&'a Arc<str>),
}

/// What it answered. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Document(Found),
    List(Arc<Page>),
}

/// An answer is found by its question within a turn of its view's view_cache: what is of another turn is out of reach.
#[derive(Debug)]
struct Name {
    turn: u64,
    question: Question,
    /// Who is told that it goes.
    counts: Arc<Counts>,
}

/// A name to look for.
#[derive(PartialEq, Eq, Hash)]
struct Wanted<'a> {
    turn: u64,
    asked: Asked<'a>,
}

impl CacheStore {
    /// Empty. `None`: nothing is to be kept.
    ///
    /// moka bounds one sum. Each answer counts with its bytes, but no less than its share of them, so that neither number
    /// nor bytes ever exceed their bound; and when the sum is reached, one of both is at least half of its bound.
    pub(super) fn of(options: &Options) -> Option<Self> {
        let Options { enabled, ttl, entries, size } = options;
        let share = size.as_u64().div_ceil(entries.get());
        let weight = move |name: &Name, answer: &Answer| {
            u32::try_from(bytes(&name.question, answer).max(share)).unwrap_or(u32::MAX)
        };
        let cache = moka::sync::Cache::builder().max_capacity(size.as_u64()).weigher(weight).time_to_live(*ttl);
        let told = |name: Arc<Name>, answer, cause| name.counts.removed(bytes(&name.question, &answer), cause);
        enabled.then(|| Self(cache.eviction_listener(told).build()))
    }

    pub(super) fn get(&self, turn: u64, asked: Asked<'_>) -> Option<Answer> {
        self.0.get(&Wanted { turn, asked })
    }

    pub(super) fn insert(&self, turn: u64, question: Question, answer: Answer, counts: &Arc<Counts>) {
        // Before it is there: whoever finds no entries counted need not look for any.
        counts.added(bytes(&question, &answer));
        self.0.insert(Name { turn, question, counts: Arc::clone(counts) }, answer);
    }

    pub(super) fn remove(&self, turn: u64, asked: Asked<'_>) {
        self.0.invalidate(&Wanted { turn, asked });
    }

    pub(super) fn has(&self, turn: u64, asked: Asked<'_>) -> bool {
        self.0.contains_key(&Wanted { turn, asked })
    }

    /// Removes what is of this turn.
    pub(super) fn sweep(&self, turn: u64) {
        for (name, _) in self.0.iter().filter(|(name, _)| name.turn == turn) {
            self.remove(turn, name.question.asked());
        }
    }

    /// Lets go of what is over its time or its room by now: else that waits for those who read and write.
    pub(super) fn settle(&self) {
        self.0.run_pending_tasks();
    }
}

impl Question {
    pub(super) fn asked(&self) -> Asked<'_> {
        match self {
            Self::Document(key) => Asked::Document(key),
            Self::List(query) => Asked::List(query),
        }
    }
}

impl Asked<'_> {
    pub(super) fn to_question(self) -> Question {
        match self {
            Self::Document(key) => Question::Document(key.clone()),
            Self::List(query) => Question::List(Arc::clone(query)),
        }
    }
}

impl Answer {
    /// How far the view was.
    pub(super) fn at(&self) -> Position {
        match self {
            Self::Document(found) => found.at,
            Self::List(page) => page.at,
        }
    }
}

fn bytes(question: &Question, answer: &Answer) -> u64 {
    let asked = match question {
        Question::Document(key) => key.as_str().len(),
        Question::List(query) => query.len(),
    };
    let answered = match answer {
        Answer::Document(found) => found.document.as_ref().map_or(0, |(document, _)| document.len()),
        Answer::List(page) => {
            page.rows.iter().map(|row| row.key.as_str().len() + row.document.len() + size_of_val(row)).sum()
        }
    };
    (asked + answered + ENTRY_BYTES) as u64
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Wanted { turn: self.turn, asked: self.question.asked() }.hash(state);
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.turn == other.turn && self.question == other.question
    }
}

impl Eq for Name {}

impl Equivalent<Name> for Wanted<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.turn == name.turn && self.asked == name.question.asked()
    }
}
