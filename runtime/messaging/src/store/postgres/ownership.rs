//! Who may write.
//!
//! A statement whose connection was lost, or whose caller did not wait for it, may still run, and may run after later
//! ones. So each acquisition has a *term*, and a write carries the term that it was sent in. After a statement whose
//! outcome is not known, the store acquires again with the same epoch. The update of the row `owner` waits for the
//! writes that have its lock; all others of the earlier term change nothing any more.

use std::sync::{Mutex as Plain, PoisonError};

use dormouse_kernel::Epoch;
use dormouse_storage::postgres::{Failure, Sessions};
use dormouse_storage::{Error as Problem, from_sql, to_sql};
use sqlx::{PgConnection, query_scalar};
use tokio::sync::Mutex;

use super::write::Write;
use crate::store::Error;

/// Every acquisition has another term, even one that is sent again. A negative epoch is damage.
const ACQUIRE: &str = "UPDATE owner SET epoch = $1, term = term + 1 WHERE epoch BETWEEN 0 AND $1 RETURNING term";

/// How often a write is sent again after its term has ended. One end is usual, when another write of this store has lost
/// its connection; more need as many losses.
const ATTEMPTS: usize = 4;

/// What this store has acquired.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    held: Plain<Held>,
    /// One acquisition at a time.
    acquiring: Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// `None` before the first acquisition.
    epoch: Option<Epoch>,
    /// `None` while the outcome of a statement is not known.
    term: Option<i64>,
}

impl Ownership {
    /// See [`QueueStore::acquire`](crate::QueueStore::acquire).
    pub(super) async fn acquire(&self, epoch: Epoch, sessions: &Sessions) -> Result<(), Error> {
        let _one = self.acquiring.lock().await;
        let term = acquire(epoch, sessions).await?;
        self.hold(Held { epoch: Some(epoch), term: Some(term) });
        Ok(())
    }

    /// Sends a write. If its connection was lost, it is sent once more, in another term.
    pub(super) async fn write(&self, write: &Write, sessions: &Sessions) -> Result<(), Error> {
        let mut was_lost = false;
        for _ in 0..ATTEMPTS {
            let term = self.term(sessions).await?;
            let mut session = sessions.open().await.map_err(Problem::from)?;
            let mut sent = Sent { ownership: self, term, is_settled: false };
            match sessions.run(write.run(term, &mut session)).await {
                Ok(true) => {
                    sent.is_settled = true;
                    session.keep();
                    return Ok(());
                }
                // The term has ended.
                Ok(false) => session.keep(),
                Err(failure @ Failure::Lost(_)) if was_lost => return Err(Problem::from(failure).into()),
                Err(Failure::Lost(_)) => was_lost = true,
                Err(failure) => {
                    sent.is_settled = true;
                    return Err(Problem::from(failure).into());
                }
            }
        }
        Err(Problem::Unavailable("connections were lost while the queues were written".to_owned()).into())
    }

    /// The term of this store. Acquires again if the term is in doubt.
    async fn term(&self, sessions: &Sessions) -> Result<i64, Error> {
        if let Held { term: Some(term), .. } = self.held() {
            return Ok(term);
        }
        let _one = self.acquiring.lock().await;
        match self.held() {
            Held { epoch: None, .. } => Err(Error::Fenced),
            Held { term: Some(term), .. } => Ok(term),
            Held { epoch: Some(epoch), term: None } => {
                let term = acquire(epoch, sessions).await?;
                self.hold(Held { epoch: Some(epoch), term: Some(term) });
                Ok(term)
            }
        }
    }

    /// Notes that this term may have ended, or has to end.
    fn doubt(&self, term: i64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.term == Some(term) {
            held.term = None;
        }
    }

    fn held(&self) -> Held {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, held: Held) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

/// A write that was sent. Unless its outcome is known in the end, its term is in doubt.
struct Sent<'o> {
    ownership: &'o Ownership,
    term: i64,
    is_settled: bool,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.ownership.doubt(self.term);
        }
    }
}

/// Raises the epoch and returns the term. It may be sent twice: only the term counts that is returned.
async fn acquire(epoch: Epoch, sessions: &Sessions) -> Result<i64, Error> {
    let acquired = sessions.ask(epoch, |connection: &mut PgConnection, epoch| {
        Box::pin(async move {
            let raise = query_scalar(ACQUIRE).bind(to_sql(epoch.0));
            let term: Option<i64> = raise.fetch_optional(&mut *connection).await?;
            if term.is_none() {
                let found: i64 = query_scalar("SELECT epoch FROM owner").fetch_one(connection).await?;
                let _not_negative: u64 = from_sql(found, "owner.epoch")?;
            }
            Ok(term)
        })
    });
    acquired.await.map_err(Problem::from)?.ok_or(Error::Fenced)
}
