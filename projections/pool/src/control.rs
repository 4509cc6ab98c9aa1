//! What operators do to projections: pause, resume, reset, rebuild and drop them, and look at, retry and skip parked
//! events.
//!
//! A request that has begun is finished even if its caller is cancelled. `control/request.rs` carries out requests, one
//! at a time for each projection.

mod request;

use std::sync::Arc;

use dormouse_journal::{PageLimit, ReadError};
use dormouse_kernel::{AggregateRef, Position, RecordedEvent};
use tracing::info;

use crate::context::ProjectionContext;
use crate::pool::Projections;
use crate::store::{Error, Parked};
use request::OperatorRequest;

/// The result of projecting parked events again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retried {
    /// How many of them are in the view now.
    pub released: u64,
    /// The first event that is still parked, because it failed again. `None`: no event of the aggregate is parked any
    /// more.
    pub still_parked: Option<Parked>,
}

/// A parked event, with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Why it is parked, and how often it was tried.
    pub parked: Parked,
    /// The event as the journal has it.
    pub recorded: RecordedEvent,
}

/// Why an operator request failed. Nothing has changed, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such projection.
    #[error("there is no projection {name:?}; there are {}", known.join(", "))]
    Unknown {
        /// The name in the request.
        name: String,
        /// The names of all projections, sorted.
        known: Vec<String>,
    },
    /// The projection is paused.
    #[error("the projection is paused already")]
    AlreadyPaused,
    /// The projection is neither paused nor stopped.
    #[error("the projection is running: there is nothing to resume")]
    NotPaused,
    /// The view cannot be dropped, because its projection is running.
    #[error("the projection is running: pause it first")]
    AtWork,
    /// The view was dropped.
    #[error("the view was dropped: resume the projection to rebuild it")]
    Dropped,
    /// A rebuild is in progress already.
    #[error("a rebuild is running and has reached position {position}")]
    Underway {
        /// How far it is.
        position: Position,
    },
    /// The journal has no event at the position.
    #[error("there is no position {position}: the journal ends at {head}")]
    BeyondHead {
        /// The position in the request.
        position: Position,
        /// The last position of the journal.
        head: Position,
    },
    /// The projection has no worker that could do it.
    #[error("the projection is not running: resume it first")]
    NotAtWork,
    /// No event of this aggregate is parked.
    #[error("no event of {aggregate} is parked")]
    NotParked {
        /// The aggregate.
        aggregate: AggregateRef,
    },
    /// Another event of the aggregate must be skipped first.
    #[error("the event at {position} is not the first parked event of its aggregate, which is at {first}")]
    NotFirst {
        /// The event in the request.
        position: Position,
        /// The first parked event of the aggregate.
        first: Position,
    },
    /// The worker could not finish the request. A part of it may have been done: the same request again continues
    /// there.
    #[error("the request was interrupted: {0}")]
    Interrupted(String),
    /// The projections have stopped, or are stopping.
    #[error("the projections are stopping")]
    Ended,
    /// The store of the views failed, or its response was lost. The request can be repeated safely.
    #[error(transparent)]
    Store(#[from] Error),
    /// The journal did not respond.
    #[error(transparent)]
    Journal(#[from] ReadError),
}

impl Projections {
    /// Pauses a projection until it is resumed, also over restarts. Its view can still be read.
    ///
    /// # Errors
    /// If it is paused, or its view was dropped.
    pub async fn pause(&self, name: &str) -> Result<(), ControlError> {
        self.carry_out(name, OperatorRequest::pause).await
    }

    /// Resumes a projection that is paused, that stopped because it failed too often, or whose view was dropped. A
    /// dropped view is built from the beginning.
    ///
    /// # Errors
    /// If it is running.
    pub async fn resume(&self, name: &str) -> Result<(), ControlError> {
        self.carry_out(name, OperatorRequest::resume).await
    }

    /// Replaces the build that is served, at once, by a new one of the events after a position. The new build lacks the
    /// effects of all earlier events, so use it only for views that need no earlier events; [`rebuild`](Self::rebuild)
    /// makes a complete build. A paused projection stays paused, at that position.
    ///
    /// # Errors
    /// If the journal has no such position.
    pub async fn reset(&self, name: &str, after: Position) -> Result<(), ControlError> {
        self.carry_out(name, move |request| request.reset(after)).await
    }

    /// Makes a new build of a view beside the one that is served. The served one is kept up to date until the new one
    /// takes over. The new build tries parked events again. [`Progress`](crate::Progress) says how far it is.
    ///
    /// # Errors
    /// If a rebuild is running already, unless `start_over` is set, which discards that one.
    pub async fn rebuild(&self, name: &str, start_over: bool) -> Result<(), ControlError> {
        self.carry_out(name, move |request| request.rebuild(start_over)).await
    }

    /// Drops a view with all its builds. Its projection must be paused or stopped, or this application must not have it
    /// any more (an [orphan](Self::orphans)). A view of this application is built again when it is resumed, or when the
    /// application starts the next time.
    ///
    /// # Errors
    /// If the projection is running, or there is no view of that name.
    pub async fn drop_view(&self, name: &str) -> Result<(), ControlError> {
        if self.reader(name).is_none() && self.orphans().await?.iter().any(|orphan| orphan == name) {
            self.store().drop_view(name).await?;
            info!(view = name, "dropped a view whose projection this application does not have");
            return Ok(());
        }
        self.carry_out(name, OperatorRequest::drop_view).await
    }

    /// The names of stored views whose projections this application does not have, sorted.
    ///
    /// # Errors
    /// If the store does not respond.
    pub async fn orphans(&self) -> Result<Vec<String>, ControlError> {
        let names = self.store().names().await?;
        Ok(names.into_iter().filter(|name| self.reader(name).is_none()).collect())
    }

    /// The events that are parked in the build that is served, after a position, in order, at most `limit`; only those
    /// of one aggregate, if `of` names one. Only the first event of each aggregate has a reason: the others wait for
    /// it.
    ///
    /// # Errors
    /// If the store does not respond.
    pub async fn parked(
        &self,
        name: &str,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, ControlError> {
        let (_, context) = self.context(name)?;
        let build = context.progress.borrow().build;
        match build {
            Some(build) => Ok(context.store.parked(build, of, after, limit).await?),
            None => Ok(Vec::new()),
        }
    }

    /// The parked event at a position, with its content.
    ///
    /// # Errors
    /// If the store or the journal does not respond.
    pub async fn parked_event(&self, name: &str, position: Position) -> Result<Option<ParkedEvent>, ControlError> {
        let (_, context) = self.context(name)?;
        let Some(before) = position.0.checked_sub(1).map(Position) else { return Ok(None) };
        let parked = self.parked(name, None, before, 1).await?.into_iter().find(|event| event.position == position);
        let Some(parked) = parked else { return Ok(None) };
        let recorded = context.journal.read_log(before, PageLimit::ONE).await?.into_iter().next();
        Ok(recorded.map(|recorded| ParkedEvent { parked, recorded }))
    }

    /// Projects the parked events of an aggregate again, in order, until none is left or one fails again. New events of
    /// the aggregate wait behind them. If a rebuild is running, it retries the events that are parked in its own build.
    ///
    /// If the projection is paused or stopped, the events are projected into the build that is served, and the view
    /// stays at its position.
    ///
    /// # Errors
    /// If no event of the aggregate is parked.
    pub async fn retry(&self, name: &str, aggregate: &AggregateRef) -> Result<Retried, ControlError> {
        let aggregate = aggregate.clone();
        self.carry_out(name, move |request| request.release(aggregate, None, false)).await
    }

    /// Leaves an event out of the view, and projects the parked events after it. The event must be the first parked
    /// event of its aggregate. The caller names its position, so that a repeated request does not skip a second event.
    /// If a rebuild is running, its build leaves the event out as well if it is the first parked one there.
    ///
    /// # Errors
    /// If it is not the first parked event of its aggregate.
    pub async fn skip(
        &self,
        name: &str,
        aggregate: &AggregateRef,
        position: Position,
    ) -> Result<Retried, ControlError> {
        let aggregate = aggregate.clone();
        self.carry_out(name, move |request| request.release(aggregate, Some(position), false)).await
    }

    /// What a [`retry`](Self::retry), or a [`skip`](Self::skip) of the event at a position, would lead to. It looks at
    /// the first `projections.batch_events` parked events, and changes nothing.
    ///
    /// # Errors
    /// The same as for these.
    pub async fn dry_run(
        &self,
        name: &str,
        aggregate: &AggregateRef,
        skip: Option<Position>,
    ) -> Result<Retried, ControlError> {
        let aggregate = aggregate.clone();
        self.carry_out(name, move |request| request.release(aggregate, skip, true)).await
    }

    fn context(&self, name: &str) -> Result<(usize, &Arc<ProjectionContext>), ControlError> {
        self.find(name).ok_or_else(|| ControlError::Unknown {
            name: name.to_owned(),
            known: self.readers().map(|reader| reader.definition().name().to_owned()).collect(),
        })
    }
}
