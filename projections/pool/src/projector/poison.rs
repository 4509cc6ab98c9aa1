//! Projects a decoded batch. If an event cannot be projected, the batch is repeated, and in the end the event is
//! parked. Rule 5 of `retry_rules.rs`.

use std::collections::HashSet;

use dormouse_journal::{PageLimit, yield_to_ready_tasks};
use dormouse_kernel::{AggregateRef, Position, RecordedEvent};
use tracing::error;

use super::{BuildState, Projector, yield_every_few};
use crate::context::ProjectionContext;
use crate::decoded_batch::DecodedBatch;
use crate::documents::Changes;
use crate::error::ProjectionError;
use crate::limits::EVENTS_AT_A_TIME;
use crate::projection::Projection;
use crate::store::{Offset, Parked};

/// What a batch changes in a view.
pub(super) struct ProjectedBatch {
    pub(super) changes: Changes,
    pub(super) parked: Vec<Parked>,
    /// The number of aggregates that its events belong to. Without poison it is the number of events, which may be
    /// higher.
    pub(super) aggregates: usize,
}

impl<P: Projection> Projector<P> {
    pub(super) async fn project(
        &self,
        batch: DecodedBatch<P>,
        state: &mut BuildState<P>,
        parked_before: &HashSet<AggregateRef>,
        to: Offset,
    ) -> Result<ProjectedBatch, ProjectionError> {
        match self.try_project(&batch, state).await? {
            Some(changes) => Ok(ProjectedBatch { changes, aggregates: batch.len(), parked: batch.into_parked(0) }),
            None => self.retry_poison(batch, state, parked_before, to).await,
        }
    }

    /// Projects a batch fast, without the ability to undo a single event. `None`: an event could not be projected, and
    /// the documents in memory are wrong.
    async fn try_project(
        &self,
        batch: &DecodedBatch<P>,
        state: &mut BuildState<P>,
    ) -> Result<Option<Changes>, ProjectionError> {
        if batch.has_poison() {
            return Ok(None);
        }
        self.load(batch, state).await?;
        let mut start = 0;
        while start < batch.len() {
            let end = batch.len().min(start + EVENTS_AT_A_TIME);
            if batch.project(start..end, &mut state.documents).is_err() {
                return Ok(None);
            }
            yield_to_ready_tasks().await;
            start = end;
        }
        Ok(state.documents.changes().ok())
    }

    /// Projects a batch event by event, so that each can be undone, and parks what cannot be projected at the last
    /// attempt. Each attempt uses the stored documents, and the events as the log has them, because the copies in
    /// memory may be wrong.
    async fn retry_poison(
        &self,
        mut batch: DecodedBatch<P>,
        state: &mut BuildState<P>,
        parked_before: &HashSet<AggregateRef>,
        to: Offset,
    ) -> Result<ProjectedBatch, ProjectionError> {
        let mut attempts = 1;
        loop {
            state.documents.clear();
            self.load(&batch, state).await?;
            for number in 0..batch.len() {
                batch.project_or_park(number, &mut state.documents)?;
                yield_every_few(number).await;
            }
            if !batch.has_poison() {
                break;
            }
            let Some(pause) = self.context.options.pause_before_poison_retry(attempts) else { break };
            tokio::time::sleep(pause).await;
            attempts += 1;
            let events = self.read_again(state.offset.position, to).await?;
            batch = self.decode(events, parked_before).await;
        }
        let changes = state.documents.changes()?;
        Ok(ProjectedBatch { changes, aggregates: batch.aggregates(), parked: batch.into_parked(attempts) })
    }

    /// The events after a position, up to an offset, that the projection reads. They fit into memory, because they were
    /// there before.
    async fn read_again(&self, mut position: Position, to: Offset) -> Result<Vec<RecordedEvent>, ProjectionError> {
        let mut events = Vec::new();
        while position < to.position {
            let count = usize::try_from(to.position.0 - position.0).unwrap_or(usize::MAX);
            let page = self.context.journal.read_log(position, PageLimit::events(count)).await?;
            let last = page.last().map(Offset::at);
            let Some(last) = last.filter(|last| last.position < to.position || *last == to) else {
                return Err(ProjectionError::Transient("the log lacks events that were just read from it".into()));
            };
            position = last.position;
            events.extend(page.into_iter().filter(|event| self.reads(&event.aggregate)));
        }
        Ok(events)
    }

    /// Loads the documents that a batch changes and that are not in memory.
    pub(crate) async fn load(&self, batch: &DecodedBatch<P>, state: &mut BuildState<P>) -> Result<(), ProjectionError> {
        let missing = state.documents.missing(batch.keys());
        if !missing.is_empty() {
            let ProjectionContext { definition, store, options, .. } = &*self.context;
            let bytes = if batch.len() > 1 { options.load_bytes } else { usize::MAX };
            let loaded =
                store.load(definition, state.build, &missing, bytes).await?.ok_or(ProjectionError::TooLarge)?;
            self.insert_loaded(state, missing, loaded).await?;
        }
        Ok(())
    }
}

/// Logs each aggregate whose event could not be projected and is parked, and counts them.
pub(super) fn log_newly_parked<P: Projection>(parked: &[Parked]) -> usize {
    let mut count = 0;
    for event in parked {
        if let Parked { aggregate, version, position, reason: Some(reason), attempts } = event {
            error!(view = P::NAME, %aggregate, %version, %position, reason, attempts, "parked an aggregate");
            count += 1;
        }
    }
    count
}
