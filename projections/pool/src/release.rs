//! Projects parked events again because an operator asks for it.

use std::collections::HashSet;

use dormouse_journal::{PageLimit, ReadError};
use dormouse_kernel::{AggregateRef, Position, RecordedEvent, Version};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::control::{ControlError, Retried};
use crate::documents::Changes;
use crate::error::ProjectionError;
use crate::projection::Projection;
use crate::projector::{BuildState, Projector, yield_every_few};
use crate::store::{Advance, BuildNumber, Parked};

/// An operator's request to project the parked events of an aggregate again.
#[derive(Debug)]
pub(crate) struct ReleaseRequest {
    pub(crate) aggregate: AggregateRef,
    /// Leave out the first parked event, which must be at this position.
    pub(crate) skip: Option<Position>,
    /// Change nothing, and report what the first page would lead to.
    pub(crate) dry_run: bool,
    /// How many events have been projected so far.
    pub(crate) released: u64,
    pub(crate) reply: oneshot::Sender<ReleaseReply>,
}

pub(crate) type ReleaseReply = Result<Retried, ControlError>;

/// The first parked events of an aggregate.
struct ParkedPage {
    events: Vec<Parked>,
    /// The event that the request leaves out. It is not among `events`.
    skipped: Option<Position>,
    /// Whether the aggregate has no parked events after these.
    is_last: bool,
}

impl<P: Projection> Projector<P> {
    /// Projects one page of an aggregate's parked events. The offset of the build does not change, because it is
    /// already past these events. New events of the aggregate are parked after them until none is left.
    ///
    /// `None`: the request is not finished; call again.
    pub(crate) async fn release_page(
        &self,
        state: &mut BuildState<P>,
        request: &mut ReleaseRequest,
    ) -> Result<Option<ReleaseReply>, ProjectionError> {
        // The events are read afterwards.
        if matches!(self.note_forgets(state), Err(ProjectionError::Forgotten)) {
            return Ok(None);
        }
        let mut page = match self.parked_page(state.build, state.batch_events, request).await? {
            Ok(page) => page,
            Err(refused) => return Ok(Some(Err(refused))),
        };
        let failed = match self.recorded(&request.aggregate, &page.events).await {
            Ok(events) => {
                // The journal may return fewer events, if they are large.
                page.is_last &= events.len() == page.events.len();
                page.events.truncate(events.len());
                match self.project_again(events, state).await {
                    Err(ProjectionError::TooLarge) => {
                        state.shrink_batches(page.events.len());
                        return Ok(None);
                    }
                    failed => failed?,
                }
            }
            Err(error @ ReadError::Unavailable(_)) => return Ok(Some(Err(error.into()))),
            Err(error @ ReadError::Damaged { .. }) => {
                page.events.first().map(|event| (event.position, error.to_string()))
            }
        };
        let still_parked = failed.and_then(|(position, reason)| {
            let event = page.events.iter().find(|event| event.position == position)?;
            Some(Parked { reason: Some(reason), attempts: event.attempts.saturating_add(1), ..event.clone() })
        });
        let is_before = |position: &Position| still_parked.as_ref().is_none_or(|still| *position < still.position);
        let projected: Vec<Position> = page.events.iter().map(|event| event.position).filter(is_before).collect();
        let released_count = request.released + projected.len() as u64;
        if request.dry_run {
            state.documents.clear();
            return Ok(Some(Ok(Retried { released: released_count, still_parked })));
        }
        let released = page.skipped.into_iter().chain(projected).collect();
        match self.commit_released(state, released, still_parked.as_ref()).await {
            Err(ProjectionError::Forgotten) => return Ok(None),
            committed => committed?,
        }
        request.released = released_count;
        request.skip = None;
        self.note_released(state, request, page.is_last, still_parked.as_ref()).await?;
        let is_done = page.is_last || still_parked.is_some();
        Ok(is_done.then_some(Ok(Retried { released: request.released, still_parked })))
    }

    async fn parked_page(
        &self,
        build: BuildNumber,
        limit: usize,
        request: &ReleaseRequest,
    ) -> Result<Result<ParkedPage, ControlError>, ProjectionError> {
        let ReleaseRequest { aggregate, skip, released, dry_run, .. } = request;
        let mut events = self.context.store.parked(build, Some(aggregate), Position::ZERO, limit).await?;
        let is_last = events.len() < limit;
        let mut skipped = None;
        match (events.first(), *skip) {
            (None, _) if *released == 0 => return Ok(Err(ControlError::NotParked { aggregate: aggregate.clone() })),
            (Some(first), Some(position)) if first.position != position => {
                return Ok(Err(ControlError::NotFirst { position, first: first.position }));
            }
            (Some(first), Some(position)) => {
                if !dry_run {
                    warn!(view = P::NAME, %aggregate, %position, version = %first.version, "skipping an event");
                }
                skipped = Some(events.remove(0).position);
            }
            _ => {}
        }
        Ok(Ok(ParkedPage { events, skipped, is_last }))
    }

    /// The parked events as the journal has them; fewer, if they are large.
    async fn recorded(&self, aggregate: &AggregateRef, page: &[Parked]) -> Result<Vec<RecordedEvent>, ReadError> {
        let Some(first) = page.first() else { return Ok(Vec::new()) };
        let before = Version(first.version.0.saturating_sub(1));
        let events = self.context.journal.history(aggregate, before, PageLimit::events(page.len())).await?;
        let is_same = |(event, parked): (&RecordedEvent, &Parked)| event.position == parked.position;
        if (events.len() == page.len() || events.is_cut) && events.iter().zip(page).all(is_same) {
            return Ok(events.events);
        }
        Err(ReadError::Damaged {
            aggregate: aggregate.clone(),
            version: first.version,
            position: first.position,
            problem: "the journal does not have what was parked",
        })
    }

    /// Projects events. If one cannot be projected, it returns its position and the reason. The events after that one
    /// are not projected.
    async fn project_again(
        &self,
        events: Vec<RecordedEvent>,
        state: &mut BuildState<P>,
    ) -> Result<Option<(Position, String)>, ProjectionError> {
        let mut batch = self.decode(events, &HashSet::new()).await;
        self.load(&batch, state).await?;
        for number in 0..batch.len() {
            batch.project_or_park(number, &mut state.documents)?;
            yield_every_few(number).await;
        }
        let failed = batch.into_parked(1).into_iter().next();
        Ok(failed.map(|event| (event.position, event.reason.unwrap_or_default())))
    }

    async fn commit_released(
        &self,
        state: &mut BuildState<P>,
        released: Vec<Position>,
        still_parked: Option<&Parked>,
    ) -> Result<(), ProjectionError> {
        let mut changes = state.documents.changes()?;
        self.seal(state, &mut changes).await?;
        let Changes { rows, gone, .. } = changes;
        let (from, parked) = (state.offset.position, still_parked.into_iter().cloned().collect());
        let advance = Advance { from, to: state.offset, rows, gone, parked, released };
        self.commit(state.build, advance).await?;
        state.documents.mark_stored();
        Ok(())
    }

    async fn note_released(
        &self,
        state: &mut BuildState<P>,
        request: &ReleaseRequest,
        is_last: bool,
        still_parked: Option<&Parked>,
    ) -> Result<(), ProjectionError> {
        let ReleaseRequest { aggregate, released, .. } = request;
        if let Some(Parked { version, position, reason, attempts, .. }) = still_parked {
            error!(view = P::NAME, %aggregate, %version, %position, reason, attempts, "an aggregate is still parked");
        } else if is_last {
            info!(view = P::NAME, %aggregate, released, "an aggregate is no longer parked");
            // Read from the store: if the worker opened the build again after the last event was released,
            // `state.parked` does not include this aggregate any more.
            state.parked = self.context.store.parked_count(state.build).await?;
            self.context.set_parked(state.build, state.parked);
        }
        Ok(())
    }
}
