//! Reads of the past: states, snapshots and events from the journal.

use std::sync::Arc;

use dormouse_journal::{AsOf, Page, PageLimit};
use dormouse_kernel::{Aggregate, AggregateId, Version};
use tokio::task::JoinSet;

use super::{Aggregates, VersionedState};
use crate::aggregate::{LoadError, SnapshotVerification, load_as_of, verify};
use crate::error::QueryError;

impl<A: Aggregate> Aggregates<A> {
    /// A past state, from the journal.
    ///
    /// # Errors
    /// [`QueryError::NotFound`] if the aggregate had no event then, [`QueryError::NoSuchVersion`] if it does not have
    /// that many events.
    pub async fn state_as_of(&self, id: &AggregateId, as_of: AsOf) -> Result<VersionedState<A>, QueryError> {
        let _permit = self.node_permit()?;
        let (registered, id) = (Arc::clone(&self.registered), id.clone());
        let loaded = self.replaying(async move { load_as_of(&registered, &id, as_of).await }).await?;
        let past = loaded.into_versioned_state();
        match as_of {
            _ if past.version == Version::ZERO => Err(QueryError::NotFound),
            AsOf::Version(version) if past.version < version => Err(QueryError::NoSuchVersion { actual: past.version }),
            _ => Ok(past),
        }
    }

    /// Compares the snapshots of an aggregate to the fold of its events.
    ///
    /// # Errors
    /// If the journal does not answer, or the events cannot be read.
    pub async fn verify_snapshots(&self, id: &AggregateId) -> Result<SnapshotVerification, QueryError> {
        let _permit = self.node_permit()?;
        let (registered, id) = (Arc::clone(&self.registered), id.clone());
        self.replaying(async move { verify(&registered, &id).await }).await
    }

    /// Runs a replay on the threads of aggregates, because it runs the domain's code. Only a few replays run at the
    /// same time. If the caller drops the future, the replay is aborted.
    async fn replaying<T: Send + 'static>(
        &self,
        replay: impl Future<Output = Result<T, LoadError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let _permit = self.registered.node.replays.acquire().await.map_err(|_| QueryError::Draining)?;
        let mut replaying = JoinSet::new();
        replaying.spawn_on(replay, &self.registered.node.threads);
        match replaying.join_next().await {
            Some(Ok(outcome)) => Ok(outcome?),
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(_)) | None => Err(QueryError::Draining),
        }
    }

    /// A page of the history: the events after a version as they were stored, within `limit`.
    ///
    /// # Errors
    /// If the journal does not answer, or the events are damaged.
    pub async fn history(&self, id: &AggregateId, after: Version, limit: PageLimit) -> Result<Page, QueryError> {
        let _permit = self.node_permit()?;
        Ok(self.registered.node.journal.history(&self.registered.aggregate(id), after, limit).await?)
    }
}
