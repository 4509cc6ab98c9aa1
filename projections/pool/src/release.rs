//! How events that are parked come into a view after all.

use std::collections::HashSet;

use dormouse_journal::{PageLimit, ReadError};
use dormouse_kernel::{AggregateRef, Position, RecordedEvent, Version};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::context::ProjectionContext;
use crate::control::{ControlError, Retried};
use crate::error::ProjectionError;
use crate::projection::Projection;
use crate::projector::{BuildState, Projector, give_way};
use crate::store::{Advance, Parked};

/// An operator wants the parked events of an aggregate to be projected again.
#[derive(Debug)]
pub(crate) struct OperatorRequest {
    pub(crate) aggregate: AggregateRef,
    /// The first one is to be left out: it must be this one.
    pub(crate) skip: Option<Position>,
    /// Only find out what would come of it: of a page, and nothing changes.
    pub(crate) dry_run: bool,
    /// How many have come into the view so far.
    pub(crate) released: u64,
    pub(crate) answer: oneshot::Sender<Result<Retried, ControlError>>,
}

impl<P: Projection> Projector<P> {
    /// Projects a page of an aggregate's parked events. The view stays where it is: these events are behind it. Whatever
    /// comes of this aggregate meanwhile is parked behind them, until none is left.
    ///
    /// `None`: there may be more.
    pub(crate) async fn release(
        &self,
        view: &mut BuildState<P>,
        request: &mut OperatorRequest,
    ) -> Result<Option<Result<Retried, ControlError>>, ProjectionError> {
        let ProjectionContext { store, .. } = &*self.context;
        let limit = view.batch_events;
        let aggregate = &request.aggregate;
        let mut page = store.parked(view.build, Some(aggregate), Position::ZERO, limit).await?;
        let mut is_last = page.len() < limit;
        let mut released = Vec::with_capacity(page.len());
        match (page.first(), request.skip) {
            (None, _) if request.released == 0 => {
                return Ok(Some(Err(ControlError::NotParked { aggregate: aggregate.clone() })));
            }
            (Some(first), Some(position)) if first.position != position => {
                return Ok(Some(Err(ControlError::NotFirst { position, first: first.position })));
            }
            (Some(first), Some(position)) => {
                warn!(view = P::NAME, %aggregate, %position, version = %first.version, "skipping an event");
                released.push(page.remove(0).position);
            }
            _ => {}
        }
        let failed = match self.journaled(aggregate, &page).await {
            Ok(events) => {
                // Large ones are fewer than there were places for.
                is_last &= events.len() == page.len();
                page.truncate(events.len());
                match self.project_again(events, view).await {
                    Err(ProjectionError::TooLarge) => {
                        view.takes_fewer(page.len());
                        return Ok(None);
                    }
                    failed => failed?,
                }
            }
            Err(error @ ReadError::Unavailable(_)) => return Ok(Some(Err(error.into()))),
            Err(error @ ReadError::Damaged { .. }) => page.first().map(|event| (event.position, error.to_string())),
        };
        let still = failed.and_then(|(position, reason)| {
            let event = page.iter().find(|event| event.position == position)?;
            Some(Parked { reason: Some(reason), attempts: event.attempts.saturating_add(1), ..event.clone() })
        });
        let is_before = |position: &Position| still.as_ref().is_none_or(|still| *position < still.position);
        let projected: Vec<Position> = page.iter().map(|event| event.position).filter(is_before).collect();
        request.released += projected.len() as u64;
        if request.dry_run {
            view.documents.forget();
            return Ok(Some(Ok(Retried { released: request.released, still })));
        }
        released.extend(projected);
        let (rows, gone) = view.documents.changes()?;
        let parked = still.iter().cloned().collect();
        let advance = Advance { from: view.offset.position, to: view.offset, rows, gone, parked, released };
        self.commit(view.build, advance).await?;
        view.documents.stored();
        request.skip = None;
        if let Some(Parked { version, position, reason, attempts, .. }) = &still {
            error!(view = P::NAME, %aggregate, %version, %position, reason, attempts, "an aggregate stays parked");
        } else if is_last {
            info!(view = P::NAME, %aggregate, released = request.released, "an aggregate is parked no longer");
            view.parked = view.parked.saturating_sub(1);
            self.context.parked(view.build, view.parked);
        }
        let is_done = is_last || still.is_some();
        Ok(is_done.then_some(Ok(Retried { released: request.released, still })))
    }

    /// The parked events themselves; fewer, if they are large.
    async fn journaled(&self, aggregate: &AggregateRef, page: &[Parked]) -> Result<Vec<RecordedEvent>, ReadError> {
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

    /// Says which one of them cannot be projected, and why, if one cannot. Those behind it are left alone.
    async fn project_again(
        &self,
        events: Vec<RecordedEvent>,
        view: &mut BuildState<P>,
    ) -> Result<Option<(Position, String)>, ProjectionError> {
        let mut batch = self.read(events, &HashSet::new()).await;
        self.load(&batch, view).await?;
        for number in 0..batch.len() {
            batch.project_carefully(number, &mut view.documents)?;
            give_way(number).await;
        }
        let failed = batch.into_parked(1).into_iter().next();
        Ok(failed.map(|event| (event.position, event.reason.unwrap_or_default())))
    }
}
