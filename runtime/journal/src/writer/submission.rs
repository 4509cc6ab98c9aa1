//! What callers submit to the writer.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::commit_batch::{CommitBatch, decide};
use crate::append::{Append, Committed};
use crate::append_session::AppendSession;
use crate::error::AppendError;

/// The answer to a barrier if an append before it failed: a state that included this append is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was seen is not durable and never will be")]
pub struct PredecessorFailed;

type Answer<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

/// A request to the writer. The writer decides submissions in their order, and answers each of them once, from its own
/// task: the callback for the answer must not block.
pub struct Submission(pub(super) Request);

pub(super) enum Request {
    Append(PendingAppend),
    /// Answered once everything that was submitted before is decided.
    Barrier {
        session: Option<Arc<AppendSession>>,
        answer: Answer<(), PredecessorFailed>,
    },
    Close(oneshot::Sender<()>),
}

pub(super) struct PendingAppend {
    pub(super) append: Arc<Append>,
    session: Option<Arc<AppendSession>>,
    answer: Answer<Committed, AppendError>,
    pub(super) submitted: Instant,
}

impl Submission {
    /// Events to append. Within an append session they are refused if an earlier append of the session has failed.
    pub fn append(
        append: Append,
        session: Option<Arc<AppendSession>>,
        answer: impl FnOnce(Result<Committed, AppendError>) + Send + 'static,
    ) -> Self {
        let pending =
            PendingAppend { append: Arc::new(append), session, answer: Box::new(answer), submitted: Instant::now() };
        Self(Request::Append(pending))
    }

    /// Waits for everything that was submitted before. With an append session, the answer is an error if an append of
    /// the session has failed.
    pub fn barrier(
        session: Option<Arc<AppendSession>>,
        answer: impl FnOnce(Result<(), PredecessorFailed>) + Send + 'static,
    ) -> Self {
        Self(Request::Barrier { session, answer: Box::new(answer) })
    }

    pub(crate) fn close(answer: oneshot::Sender<()>) -> Self {
        Self(Request::Close(answer))
    }

    /// Answers the submission although the outcome of `unresolved` is not known: an append is refused, and a barrier is
    /// answered if its session has no append in `unresolved`. Returns the submission if it has to wait.
    pub(super) fn refuse_unless_depending(self, error: &AppendError, unresolved: &CommitBatch) -> Option<Self> {
        match self.0 {
            Request::Append(pending) => pending.refuse(error.clone()),
            Request::Barrier { session: Some(session), answer } if !unresolved.has_appends_of(&session) => {
                answer(decide(Some(&session)))
            }
            waits @ (Request::Barrier { .. } | Request::Close(_)) => return Some(Self(waits)),
        }
        None
    }

    pub(crate) fn refuse(self, error: &AppendError) {
        match self.0 {
            Request::Append(pending) => pending.refuse(error.clone()),
            Request::Barrier { answer, .. } => answer(Err(PredecessorFailed)),
            // The journal is closed already, as the caller wants.
            Request::Close(answer) => _ = answer.send(()),
        }
    }
}

impl PendingAppend {
    pub(super) fn belongs_to(&self, session: &Arc<AppendSession>) -> bool {
        self.session.as_ref().is_some_and(|own| Arc::ptr_eq(own, session))
    }

    pub(super) fn has_failed_predecessor(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_broken())
    }

    pub(super) fn refuse(self, error: AppendError) {
        if let Some(session) = &self.session {
            session.break_off();
        }
        (self.answer)(Err(error));
    }

    pub(super) fn succeed(self, committed: Committed) {
        if let Some(session) = &self.session {
            session.advance(committed.version);
        }
        (self.answer)(Ok(committed));
    }
}

impl std::fmt::Debug for Submission {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let request = match &self.0 {
            Request::Append(_) => "append",
            Request::Barrier { .. } => "barrier",
            Request::Close(_) => "close",
        };
        formatter.debug_tuple("Submission").field(&request).finish()
    }
}
