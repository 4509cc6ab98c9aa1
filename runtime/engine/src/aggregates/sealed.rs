//! Commands and replies that others store: sealed before they are stored, and opened before they are used.

use std::borrow::Cow;

use dormouse_encryption::OpenFailure;
use dormouse_kernel::{AddressedCommand, Aggregate, AggregateId, Fingerprint, Version, caller_as_data_subject};

use super::Aggregates;
use crate::error::QueryError;
use crate::sealing::SealFailure;

impl<A: Aggregate> Aggregates<A> {
    /// A command for one of these aggregates that is carried out later, with its personal values sealed, and with a
    /// fingerprint of what `sender` wrote that tells nobody what that was.
    ///
    /// The data key is that of the sender (`user/SUBJECT`), or of the aggregate (`TYPE/ID`) if the sender is not known:
    /// whose data the aggregate will have is not known before it decides.
    ///
    /// # Errors
    /// If the data key cannot be loaded or made, or if the command cannot be encrypted.
    pub async fn sealed_command(
        &self,
        to: AddressedCommand,
        content: Option<Fingerprint>,
        sender: Option<&str>,
    ) -> Result<(AddressedCommand, Option<Fingerprint>), QueryError> {
        let Some(sealing) = self.registered.sealing.as_ref().filter(|sealing| sealing.is_on()) else {
            return Ok((to, content));
        };
        let aggregate = to.aggregate();
        let mut command = to.command().to_vec();
        let wrote = content.unwrap_or_else(|| Fingerprint::of(&command));
        let person = self.person(sender, &aggregate.id);
        if !sealing.seal_command(&mut command, &aggregate, &person).await.map_err(cannot_seal)? {
            return Ok((to, content));
        }
        Ok((AddressedCommand::encoded(aggregate, command), Some(sealing.keyed(wrote))))
    }

    /// A command for one of these aggregates as its sender wrote it.
    ///
    /// # Errors
    /// If the data keys cannot be loaded, or if the command cannot be decrypted.
    pub async fn opened_command<'c>(&self, id: &AggregateId, command: &'c [u8]) -> Result<Cow<'c, [u8]>, QueryError> {
        let Some(sealing) = &self.registered.sealing else { return Ok(command.into()) };
        let mut opened = command.to_vec();
        sealing.open_command(&mut opened, &self.registered.aggregate(id)).await.map_err(cannot_open)?;
        Ok(opened.into())
    }

    /// An encoded reply of one of these aggregates to a command of `sender`, with its personal values sealed.
    ///
    /// # Errors
    /// As with [`sealed_command`](Self::sealed_command).
    pub async fn sealed_reply(
        &self,
        id: &AggregateId,
        mut reply: Vec<u8>,
        sender: Option<&str>,
    ) -> Result<Vec<u8>, QueryError> {
        if let Some(sealing) = self.registered.sealing.as_ref().filter(|sealing| sealing.is_on()) {
            let person = self.person(sender, id);
            sealing.seal_reply(&mut reply, &self.registered.aggregate(id), &person).await.map_err(cannot_seal)?;
        }
        Ok(reply)
    }

    /// The reply that was [sealed](Self::sealed_reply).
    ///
    /// # Errors
    /// As with [`opened_command`](Self::opened_command).
    pub async fn opened_reply(&self, id: &AggregateId, mut reply: Vec<u8>) -> Result<Vec<u8>, QueryError> {
        if let Some(sealing) = &self.registered.sealing {
            let aggregate = self.registered.aggregate(id);
            sealing.open_reply(&mut reply, &aggregate, Version::ZERO).await.map_err(cannot_open)?;
        }
        Ok(reply)
    }

    fn person(&self, sender: Option<&str>, id: &AggregateId) -> String {
        match sender {
            Some(subject) => caller_as_data_subject(subject),
            None => self.registered.aggregate(id).to_string(),
        }
    }
}

fn cannot_seal(failure: SealFailure) -> QueryError {
    match failure {
        SealFailure::Unavailable(reason) => QueryError::Unavailable(reason),
        SealFailure::Unsealable(reason) => QueryError::Unreadable(reason),
    }
}

pub(super) fn cannot_open(failure: OpenFailure) -> QueryError {
    match failure {
        OpenFailure::Keys(error) => QueryError::Unavailable(error.to_string()),
        OpenFailure::Payload { reason, .. } => QueryError::Unreadable(reason.to_string()),
    }
}
