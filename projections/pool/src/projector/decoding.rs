//! Decodes the events of a batch, a large batch in several tasks.

use std::collections::HashSet;
use std::sync::Arc;

use dormouse_journal::yield_to_ready_tasks;
use dormouse_kernel::{AggregateRef, RecordedEvent};
use tokio::task::JoinHandle;

use super::Projector;
use crate::decoded_batch::{DecodeResult, DecodedBatch, decode_event};
use crate::limits::EVENTS_AT_A_TIME;
use crate::projection::Projection;

impl<P: Projection> Projector<P> {
    /// Decodes events, in order. Those of the `parked` aggregates are parked.
    pub(crate) async fn decode(&self, events: Vec<RecordedEvent>, parked: &HashSet<AggregateRef>) -> DecodedBatch<P> {
        let mut batch = DecodedBatch::with_capacity(events.len());
        let parts = self.context.capacity.parts(events.len());
        if parts == 1 {
            for (number, event) in events.into_iter().enumerate() {
                batch.add(decode_event(event, &self.sources), parked);
                yield_every_few(number).await;
            }
            return batch;
        }
        for part in self.decode_in_parts(events, parts) {
            match part.await {
                Ok(decoded) => decoded.into_iter().for_each(|decoded| batch.add(decoded, parked)),
                // `decode_event` catches the panics of the projection, so this is a failure of the worker itself.
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(error) => unreachable!("no code cancels it: {error}"),
                },
            }
        }
        batch
    }

    /// Starts a task for each part of the events, in order.
    fn decode_in_parts(&self, events: Vec<RecordedEvent>, parts: usize) -> Vec<JoinHandle<Vec<DecodeResult<P>>>> {
        let size = events.len().div_ceil(parts);
        let mut events = events.into_iter();
        let mut tasks = Vec::with_capacity(parts);
        while !events.as_slice().is_empty() {
            let (part, sources): (Vec<_>, _) = (events.by_ref().take(size).collect(), Arc::clone(&self.sources));
            tasks.push(tokio::spawn(async move {
                let mut decoded = Vec::with_capacity(part.len());
                for (number, event) in part.into_iter().enumerate() {
                    decoded.push(decode_event(event, &sources));
                    yield_every_few(number).await;
                }
                decoded
            }));
        }
        tasks
    }
}

/// Lets other tasks run from time to time, because a worker must not keep its thread for a whole batch.
pub(crate) async fn yield_every_few(events_done: usize) {
    if events_done % EVENTS_AT_A_TIME == EVENTS_AT_A_TIME - 1 {
        yield_to_ready_tasks().await;
    }
}
