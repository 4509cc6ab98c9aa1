//! What can become of a commit.

use std::sync::Arc;
use std::time::Duration;

use dormouse_journal::Append;
use dormouse_journal::store::Placed;

/// What becomes of one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It goes through after all.
    None,
    /// It fails before anything is written, and says so.
    Refused,
    /// Its answer is lost: after it happened, or before it could.
    Lost {
        /// It happened.
        committed: bool,
    },
    /// The same, and somebody takes the journal over before anything can be found out.
    TakenOver {
        /// It happened.
        committed: bool,
    },
    /// It goes through, but takes its time.
    Slow {
        /// From its arrival until it happens.
        before: Duration,
        /// From then until it is answered.
        after: Duration,
    },
    /// The process, or the machine, goes down in the middle of it.
    Torn(Tear),
    /// Its writer breaks over it.
    Panic,
}

/// What of a batch is in the log when the machine went down in the middle of its commit.
///
/// A commit is one transaction, so by the contract of [`Store`](dormouse_journal::Store) a crash leaves all of the batch
/// or nothing. Everything between is a store that broke its promise (a disk that lied about a flush, a page that was
/// written and another that was not), in other words damage. It matters what a journal opened on it then says:
///
/// - [`Nothing`](Self::Nothing), [`Everything`](Self::Everything): what the contract allows. Nobody was answered, so
///   either is right.
/// - [`Appends`](Self::Appends): a prefix of whole commands. No one can tell it from a smaller batch, and no one needs
///   to: nobody was answered, each command is there once or not at all, positions and versions are dense.
/// - [`HalfAnAppend`](Self::HalfAnAppend): the last command is there in part. Versions and chain hold up to its end, so
///   only its first event, which says how many there are, gives it away. Whoever loads that aggregate must be refused.
/// - [`Hole`](Self::Hole): a command is missing, and later ones are there. Positions are not dense any more: reading
///   the log must fail. If the same aggregate goes on behind the hole, its versions are not dense either.
///
/// After any of these, the store does not answer any more: it went down with its process. Another opening of what is
/// inside ([`Faulty::over`](crate::Faulty::over)) is the restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// Nothing of it.
    Nothing,
    /// All of it; only the answer is missing.
    Everything,
    /// So many appends, whole, counted from the first.
    Appends(usize),
    /// So many appends, whole, and one event less than all of the next.
    HalfAnAppend {
        /// The whole ones before it.
        after: usize,
    },
    /// Everything but this append, counted from zero. The store inside must take positions as they are, as the one in
    /// memory does.
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
