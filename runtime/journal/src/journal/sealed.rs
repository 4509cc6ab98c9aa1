//! What is sealed in events and snapshots is opened after it was read, and after its chain was checked: the log, its
//! chain and the events in memory have only what is sealed.

use dormouse_encryption::{Binding, DataKeys, OpenFailure, Sealed};
use dormouse_kernel::{AggregateRef, RecordedEvent, Version};
use tracing::warn;

use super::Journal;
use super::reads::damaged;
use crate::error::ReadError;
use crate::snapshot::Snapshot;

/// What the payload of an event is sealed for.
#[must_use]
pub fn event_binding(aggregate: &AggregateRef, version: Version) -> Binding<'_> {
    Binding {
        aggregate_type: aggregate.aggregate_type.as_str(),
        aggregate_id: aggregate.id.as_str(),
        version: version.0,
    }
}

impl Journal {
    /// The keys of this journal's data, if any of it may be sealed.
    #[must_use]
    pub fn data_keys(&self) -> Option<&DataKeys> {
        self.shared.data_keys.as_ref()
    }

    /// Opens the payloads of events that were read from a store or from memory.
    pub(crate) async fn opened(&self, mut events: Vec<RecordedEvent>) -> Result<Vec<RecordedEvent>, ReadError> {
        let Some(keys) = self.data_keys().filter(|_| !events.is_empty()) else { return Ok(events) };
        let sealed = events.iter_mut().map(|event| Sealed {
            payload: &mut event.event.payload,
            binding: event_binding(&event.aggregate, event.version),
        });
        match keys.unseal(sealed.collect()).await {
            Ok(_) => Ok(events),
            Err(OpenFailure::Payload { index, reason }) => {
                let RecordedEvent { aggregate, version, position, .. } = &events[index];
                warn!(%aggregate, %version, %reason, "an event cannot be decrypted");
                Err(damaged(aggregate, *version, *position, "what is encrypted in it cannot be decrypted"))
            }
            Err(OpenFailure::Keys(error)) => {
                if !error.is_transient() {
                    warn!(%error, "data keys cannot be used");
                }
                Err(ReadError::Unavailable(error.to_string()))
            }
        }
    }

    /// Opens a snapshot. `None` if that is not possible, because its subject was forgotten, for example: then the events
    /// decide.
    pub(super) async fn opened_snapshot(&self, mut snapshot: Snapshot) -> Option<Snapshot> {
        let Some(keys) = self.data_keys() else { return Some(snapshot) };
        let binding = event_binding(&snapshot.aggregate, snapshot.version);
        match keys.unseal(vec![Sealed { payload: &mut snapshot.body, binding }]).await {
            Ok(_) => Some(snapshot),
            Err(_) => None,
        }
    }
}
