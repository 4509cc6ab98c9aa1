//! The faults of a commit.

use std::sync::Arc;
use std::time::Duration;

use dormouse_journal::Append;
use dormouse_journal::store::Placed;

/// What happens to one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the commit succeeds.
    None,
    /// It fails with an error before anything is written.
    Refused,
    /// Its answer is lost, after the commit or before it.
    Lost {
        /// Whether the commit happened.
        committed: bool,
    },
    /// The same, and another owner takes the journal over before the outcome can be looked up.
    TakenOver {
        /// Whether the commit happened.
        committed: bool,
    },
    /// It succeeds, but slowly.
    Slow {
        /// The time from its arrival until the commit.
        before: Duration,
        /// The time from the commit until its answer.
        after: Duration,
    },
    /// The process or the machine goes down during the commit.
    Torn(Tear),
    /// The writer panics.
    Panic,
}

/// The part of a batch that is in the log after the machine went down during its commit.
///
/// A commit is one transaction, so by the contract of [`Store`](dormouse_journal::Store) a crash leaves all of the
/// batch or nothing. Everything between means that the store broke its promise (a disk reported a flush that it did not
/// do, or only some pages were written): the log is damaged. What a journal that is opened on it reports then:
///
/// - [`Nothing`](Self::Nothing), [`Everything`](Self::Everything): the contract allows both. No client got an answer,
///   so both are right.
/// - [`Appends`](Self::Appends): a prefix of whole commands. It cannot be told from a smaller batch, and need not be:
///   no client got an answer, each command is in the log once or not at all, and positions and versions are dense.
/// - [`HalfAnAppend`](Self::HalfAnAppend): only a part of the last command. Versions and chain are valid up to its end,
///   so only its first event, which contains the number of events, shows the damage. Loading that aggregate must fail.
/// - [`Hole`](Self::Hole): a command is missing, and later ones are there. Positions are not dense any more, so reading
///   the log must fail. If a later command belongs to the same aggregate, its versions are not dense either.
///
/// After any of these, the store does not answer any more, because it went down with its process. A new
/// [`Faulty::over`](crate::Faulty::over) the inner store is the restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// Nothing of the batch.
    Nothing,
    /// All of the batch; only the answer is missing.
    Everything,
    /// This many whole appends, counted from the first.
    Appends(usize),
    /// This many whole appends, and all but the last event of the next one.
    HalfAnAppend {
        /// The number of whole appends.
        after: usize,
    },
    /// Everything but this append, counted from zero. The inner store must accept gaps in the positions, as the memory
    /// store does.
    Hole(usize),
}

impl Tear {
    /// What of the batch is written.
    pub(crate) fn of(self, batch: &[Placed]) -> Vec<Placed> {
        let first = |count: usize| batch[..count.min(batch.len())].to_vec();
        match self {
            Self::Nothing => Vec::new(),
            Self::Everything => batch.to_vec(),
            Self::Appends(count) => first(count),
            Self::HalfAnAppend { after } => {
                let mut written = first(after);
                written.extend(batch.get(after).and_then(all_but_the_last_event));
                written
            }
            Self::Hole(lost) => {
                let others = batch.iter().enumerate().filter(|(number, _)| *number != lost);
                others.map(|(_, placed)| placed.clone()).collect()
            }
        }
    }
}

fn all_but_the_last_event(placed: &Placed) -> Option<Placed> {
    let mut append = Append::clone(&placed.append);
    append.events.pop();
    let anything_left = !append.events.is_empty();
    anything_left.then(|| Placed { first: placed.first, append: Arc::new(append) })
}
