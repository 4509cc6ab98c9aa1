//! What reaches the writer.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::round::{Round, decide};
use crate::append::{Append, Committed};
use crate::append_session::AppendSession;
use crate::error::AppendError;

/// What a barrier's submitter had seen was undone: an append before the barrier failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was seen is not durable and never will be")]
pub struct Undone;

type Answer<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

/// Something for the writer to do, in the order of submission. It is answered once, from the writer's task, so an
/// answer must not block.
pub struct Submission(pub(super) Kind);

pub(super) enum Kind {
    Append(Pending),
    /// Answered once everything submitted before it is decided.
    Barrier {
        session: Option<Arc<AppendSession>>,
        answer: Answer<(), Undone>,
    },
    Close(oneshot::Sender<()>),
}

pub(super) struct Pending {
    pub(super) append: Arc<Append>,
    session: Option<Arc<AppendSession>>,
    answer: Answer<Committed, AppendError>,
    pub(super) submitted: Instant,
}

impl Submission {
    /// Events to append. With an append session, they are refused once an earlier append on that append session has failed.
    pub fn append(
        append: Append,
        session: Option<Arc<AppendSession>>,
        answer: impl FnOnce(Result<Committed, AppendError>) + Send + 'static,
    ) -> Self {
        let pending =
            Pending { append: Arc::new(append), session, answer: Box::new(answer), submitted: Instant::now() };
        Self(Kind::Append(pending))
    }

    /// A wait for everything submitted before. With an append session, it is refused if an append on that append session has failed.
    pub fn barrier(
        session: Option<Arc<AppendSession>>,
        answer: impl FnOnce(Result<(), Undone>) + Send + 'static,
    ) -> Self {
        Self(Kind::Barrier { session, answer: Box::new(answer) })
    }

    pub(crate) fn close(answer: oneshot::Sender<()>) -> Self {
        Self(Kind::Close(answer))
    }

    /// Answers it although `unsettled` is not decided: appends are refused, and so is what waits for them. Given back is
    /// what has to wait.
    pub(super) fn turn_away(self, error: &AppendError, unsettled: &Round) -> Option<Self> {
        match self.0 {
            Kind::Append(pending) => pending.refuse(error.clone()),
            Kind::Barrier { session: Some(session), answer } if !unsettled.is_on(&session) => {
                answer(decide(Some(&session)))
            }
            waits @ (Kind::Barrier { .. } | Kind::Close(_)) => return Some(Self(waits)),
        }
        None
    }

    pub(crate) fn refuse(self, error: &AppendError) {
        match self.0 {
            Kind::Append(pending) => pending.refuse(error.clone()),
            Kind::Barrier { answer, .. } => answer(Err(Undone)),
            // Whoever closes a closed journal has what they want.
            Kind::Close(answer) => _ = answer.send(()),
        }
    }
}

impl Pending {
    pub(super) fn is_on(&self, session: &Arc<AppendSession>) -> bool {
        self.session.as_ref().is_some_and(|own| Arc::ptr_eq(own, session))
    }

    pub(super) fn is_undone(&self) -> bool {
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
        let kind = match &self.0 {
            Kind::Append(_) => "append",
            Kind::Barrier { .. } => "barrier",
            Kind::Close(_) => "close",
        };
        formatter.debug_tuple("Submission").field(&kind).finish()
    }
}
