//! Outcomes of earlier commands, read from the journal.

use dormouse_journal::PageLimit;
use dormouse_kernel::{Aggregate, AggregateId, CodecError, CommandKey, NewEvent, RecordedEvent, Version};

use super::Aggregates;
use super::sealed::cannot_open;
use crate::error::{CommandError, QueryError};
use crate::outcome::{CommandIdentity, Outcome, Reply};

impl<A: Aggregate> Aggregates<A> {
    /// The outcome of an earlier command with the same key, if there was one.
    pub(super) async fn look_up(
        &self,
        id: &AggregateId,
        // Only the key: a command that is borrowed across an await would have to be `Sync`.
        key: Option<&CommandKey>,
        sent: &CommandIdentity,
    ) -> Result<Option<Outcome<Reply<A::Reply>>>, CommandError<A::Rejection>> {
        let Some(key) = key else { return Ok(None) };
        let found = self.recorded_outcome(id, key).await;
        let found = found.map_err(|error| CommandError::Unavailable(error.to_string()))?;
        match found {
            Some((_, recorded)) if !self.is_same(&recorded, sent) => Err(CommandError::KeyReused),
            found => Ok(found.map(|(outcome, _)| outcome)),
        }
    }

    fn is_same(&self, recorded: &CommandIdentity, sent: &CommandIdentity) -> bool {
        // The record may be older than encryption.
        recorded.is_same::<A::Command>(sent)
            || self
                .registered
                .sealing
                .as_ref()
                .is_some_and(|sealing| recorded.is_same::<A::Command>(&sealing.keyed_identity(sent)))
    }

    /// The outcome of the command with this key, however long ago, if it made events.
    ///
    /// # Errors
    /// If the journal does not answer, or if the events or the reply cannot be read.
    pub async fn outcome(&self, id: &AggregateId, key: &CommandKey) -> Result<Option<Outcome<A::Reply>>, QueryError> {
        let outcome = self.outcome_as_given(id, key).await?.map(Outcome::decoded).transpose();
        outcome.map_err(|error| QueryError::Unreadable(error.to_string()))
    }

    /// The same as [`outcome`](Self::outcome), with the reply as it was stored.
    ///
    /// # Errors
    /// If the journal does not answer, or if the events cannot be read.
    pub async fn outcome_as_given(
        &self,
        id: &AggregateId,
        key: &CommandKey,
    ) -> Result<Option<Outcome<Reply<A::Reply>>>, QueryError> {
        let _permit = self.node_permit()?;
        Ok(self.recorded_outcome(id, key).await?.map(|(outcome, _)| outcome))
    }

    async fn recorded_outcome(
        &self,
        id: &AggregateId,
        key: &CommandKey,
    ) -> Result<Option<(Outcome<Reply<A::Reply>>, CommandIdentity)>, QueryError> {
        let journal = &self.registered.node.journal;
        let aggregate = self.registered.aggregate(id);
        let Some(first) = journal.find_command(&aggregate, key).await? else { return Ok(None) };
        let before = Version(first.0.saturating_sub(1));
        let mut events = journal.history(&aggregate, before, PageLimit::ONE).await?.events;
        let unreadable = |error: CodecError| QueryError::Unreadable(error.to_string());
        let Some(head) = events.first() else { return Ok(None) };
        let count = head.metadata().map_err(unreadable)?.command.map_or(1, |command| command.events as usize);
        while let Some(last) = events.last()
            && events.len() < count
        {
            let page = journal.history(&aggregate, last.version, PageLimit::events(count - events.len())).await?;
            if page.is_empty() {
                let found = events.len();
                return Err(QueryError::Unreadable(format!(
                    "the command at version {first} made {count} events, but the journal has only {found} of them"
                )));
            }
            // An outcome has only the names of the events after the first.
            events.extend(page.into_iter().map(without_content));
        }
        let Some((mut outcome, identity)) = Outcome::recorded(&events).map_err(unreadable)? else { return Ok(None) };
        if let (Some(sealing), Reply::Stored(reply)) = (&self.registered.sealing, &mut outcome.reply) {
            sealing.open_reply(reply, &aggregate, first).await.map_err(cannot_open)?;
        }
        Ok(Some((outcome, identity)))
    }
}

fn without_content(event: RecordedEvent) -> RecordedEvent {
    RecordedEvent { event: NewEvent { payload: Vec::new(), metadata: Vec::new(), ..event.event }, ..event }
}
