//! The aggregate that an asynchronous command has, from its request to its end.

use std::borrow::Cow;

use dormouse_kernel::{Aggregate, AggregateId, AggregateType, Context, DomainEvent, Fingerprint, Rejection};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{Ending, FinalRefusal, RequestedCommand, Success};

/// An asynchronous command, from its request to its end. It is an aggregate of the runtime's own: clients see it as an
/// operation, and not among the aggregates of the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    request: Option<OperationRequest>,
    status: OperationStatus,
}

/// What was asked for. The command itself is in the log only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRequest {
    /// The type of the aggregate that shall decide the command.
    pub aggregate_type: AggregateType,
    /// Its id.
    pub id: AggregateId,
    /// The name of the command: `CreateOrder`.
    pub command: String,
    /// The fingerprint of the encoded command.
    typed: Fingerprint,
    /// The fingerprint of what the client wrote.
    content: Option<Fingerprint>,
}

/// How far an operation has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationStatus {
    /// The command will be carried out.
    #[default]
    Pending,
    /// The aggregate has accepted the command.
    Succeeded(Success),
    /// The command was refused, and would be refused again.
    Refused(FinalRefusal),
    /// Each attempt has failed. An operator can have the command attempted again.
    Dead {
        /// Why the last attempt failed.
        reason: String,
    },
}

/// What happens to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationCommand {
    /// A client asks for a command. The same request again changes nothing.
    Request(RequestedCommand),
    /// Refused if the operation has ended; changes nothing. Whoever may have carried the command out before asks this
    /// first: a command that was refused could be accepted now.
    Begin {},
    /// The command has its outcome. A later outcome changes nothing.
    Finish(Ending),
    /// The last attempt has failed.
    GiveUp {
        /// Why.
        reason: String,
    },
}

/// What has happened to an operation. Names and fields are stored, and never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationEvent {
    /// A client has asked for a command.
    Requested(RequestedCommand),
    /// The aggregate has accepted it.
    Succeeded(Success),
    /// It was refused for good.
    Refused(FinalRefusal),
    /// Each attempt has failed.
    GivenUp {
        /// Why the last one failed.
        reason: String,
    },
}

/// Why an operation refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationRejection {
    /// The client has used its key for another command.
    #[error("this key was used for another command")]
    KeyReused,
    /// The command has its outcome.
    #[error("the operation has ended")]
    Ended,
    /// Nobody has asked for a command.
    #[error("there is no such operation")]
    NotRequested,
}

impl Operation {
    /// What was asked for. `None` before the first event.
    #[must_use]
    pub const fn request(&self) -> Option<&OperationRequest> {
        self.request.as_ref()
    }

    /// How far the operation has come.
    #[must_use]
    pub const fn status(&self) -> &OperationStatus {
        &self.status
    }

    /// The encoded reply, if the command has succeeded.
    #[must_use]
    pub const fn reply_mut(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.status {
            OperationStatus::Succeeded(success) => Some(&mut success.reply),
            OperationStatus::Pending | OperationStatus::Refused(_) | OperationStatus::Dead { .. } => None,
        }
    }

    /// Whether the command has its outcome. That of a dead operation may still come.
    fn has_ended(&self) -> bool {
        matches!(self.status, OperationStatus::Succeeded(_) | OperationStatus::Refused(_))
    }
}

impl OperationRequest {
    fn of(requested: &RequestedCommand) -> Self {
        let aggregate = requested.to.aggregate();
        Self {
            aggregate_type: aggregate.aggregate_type,
            id: aggregate.id,
            command: requested.to.name().to_owned(),
            typed: Fingerprint::of(requested.to.command()),
            content: requested.content,
        }
    }

    /// Whether both ask for the same: the client wrote the same, or the encodings of the command are equal.
    fn is_same(&self, other: &Self) -> bool {
        let wrote_the_same = self.content.is_some() && self.content == other.content && self.command == other.command;
        let is_same_command = self.typed == other.typed || wrote_the_same;
        is_same_command && self.aggregate_type == other.aggregate_type && self.id == other.id
    }
}

impl Aggregate for Operation {
    const TYPE: &'static str = "dormouse-operation";
    type Command = OperationCommand;
    type Event = OperationEvent;
    type Reply = ();
    type Rejection = OperationRejection;

    fn decide(&self, command: OperationCommand, context: &mut Context<Self>) -> Result<(), OperationRejection> {
        let event = match (command, &self.request) {
            (OperationCommand::Request(requested), None) => OperationEvent::Requested(requested),
            (OperationCommand::Request(requested), Some(first)) => {
                let is_same = first.is_same(&OperationRequest::of(&requested));
                return if is_same { Ok(()) } else { Err(OperationRejection::KeyReused) };
            }
            (_, None) => return Err(OperationRejection::NotRequested),
            (OperationCommand::Begin {}, Some(_)) if self.has_ended() => return Err(OperationRejection::Ended),
            (OperationCommand::Begin {}, Some(_)) => return Ok(()),
            (OperationCommand::Finish(_) | OperationCommand::GiveUp { .. }, Some(_)) if self.has_ended() => {
                return Ok(());
            }
            (OperationCommand::Finish(Ending::Succeeded(success)), Some(_)) => OperationEvent::Succeeded(success),
            (OperationCommand::Finish(Ending::Refused(refusal)), Some(_)) => OperationEvent::Refused(refusal),
            (OperationCommand::GiveUp { reason }, Some(_)) => OperationEvent::GivenUp { reason },
        };
        context.emit(event);
        Ok(())
    }

    fn evolve(&mut self, event: &OperationEvent) {
        match event {
            OperationEvent::Requested(requested) => self.request = Some(OperationRequest::of(requested)),
            OperationEvent::Succeeded(success) => self.status = OperationStatus::Succeeded(success.clone()),
            OperationEvent::Refused(refusal) => self.status = OperationStatus::Refused(refusal.clone()),
            OperationEvent::GivenUp { reason } => self.status = OperationStatus::Dead { reason: reason.clone() },
        }
    }
}

impl DomainEvent for OperationEvent {}

impl OperationEvent {
    /// The stored name of the event because of which a command is carried out.
    pub(super) const REQUESTED: &'static str = "Requested";
}

impl Rejection for OperationRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::KeyReused => "key-reused",
            Self::Ended => "operation-ended",
            Self::NotRequested => "operation-not-requested",
        }
    }
}

/// No description of the API has these types: clients never write them.
impl JsonSchema for OperationCommand {
    fn schema_name() -> Cow<'static, str> {
        "OperationCommand".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

impl JsonSchema for OperationEvent {
    fn schema_name() -> Cow<'static, str> {
        "OperationEvent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{AddressedCommand, AggregateRef, CommandKey, Given, Mark, Position, Version, decode, encode};

    use super::*;
    use crate::operations::Condition;

    fn requested(command: &str, content: Option<&[u8]>) -> RequestedCommand {
        let order = AggregateRef::new(AggregateType::new("order").unwrap(), AggregateId::new("o-1").unwrap());
        RequestedCommand {
            only_own: false,
            to: AddressedCommand::encoded(order, encode(command).unwrap()),
            key: Some(CommandKey::new("k").unwrap()),
            content: content.map(Fingerprint::of),
            condition: Condition::Marked { version: Version(3), mark: Mark(7) },
        }
    }

    fn success() -> Success {
        Success {
            version: Version(4),
            mark: Some(Mark(8)),
            position: Some(Position(9)),
            events: vec![("Confirmed".to_owned(), Version(4))],
            reply: encode(&true).unwrap(),
        }
    }

    fn refusal() -> FinalRefusal {
        FinalRefusal {
            problem: "rejected".to_owned(),
            detail: "the order is open".to_owned(),
            code: Some("order-open".to_owned()),
            version: None,
        }
    }

    fn pending() -> OperationEvent {
        OperationEvent::Requested(requested("Confirm", Some(b"{}")))
    }

    #[test]
    fn a_repeated_request_changes_nothing_and_another_one_is_refused() {
        let again = |requested| Given::<Operation>::events([pending()]).when(OperationCommand::Request(requested));
        Given::<Operation>::events([])
            .when(OperationCommand::Request(requested("Confirm", Some(b"{}"))))
            .then([pending()]);
        again(requested("Confirm", Some(b"{}"))).then([]);
        // Today's type may encode the command in another way, or what the client wrote may not be known.
        again(requested("Confirm", Some(b"[]"))).then([]);
        again(requested("Confirm", None)).then([]);
        again(requested("Cancel", Some(b"{}"))).then_rejected("key-reused");
        again(requested("Cancel", None)).then_rejected("key-reused");
    }

    #[test]
    fn an_operation_ends_once() {
        let (succeeded, refused) = (OperationEvent::Succeeded(success()), OperationEvent::Refused(refusal()));
        let finish = |ending| OperationCommand::Finish(ending);
        for (ending, event) in [(Ending::Succeeded(success()), &succeeded), (Ending::Refused(refusal()), &refused)] {
            Given::<Operation>::events([pending()]).when(finish(ending.clone())).then([event.clone()]);
            for later in [
                finish(Ending::Succeeded(success())),
                finish(Ending::Refused(refusal())),
                OperationCommand::GiveUp { reason: "late".to_owned() },
            ] {
                Given::<Operation>::events([pending(), event.clone()]).when(later).then([]);
            }
            Given::<Operation>::events([pending(), event.clone()])
                .when(OperationCommand::Begin {})
                .then_rejected("operation-ended");
        }
        Given::<Operation>::events([pending()]).when(OperationCommand::Begin {}).then([]);
        Given::<Operation>::events([]).when(OperationCommand::Begin {}).then_rejected("operation-not-requested");
    }

    #[test]
    fn a_dead_operation_may_still_succeed() {
        let given_up = |reason: &str| OperationEvent::GivenUp { reason: reason.to_owned() };
        let give_up = |reason: &str| OperationCommand::GiveUp { reason: reason.to_owned() };
        Given::<Operation>::events([pending()]).when(give_up("broken")).then([given_up("broken")]);
        Given::<Operation>::events([pending(), given_up("broken")]).when(OperationCommand::Begin {}).then([]);
        Given::<Operation>::events([pending(), given_up("broken")]).when(give_up("again")).then([given_up("again")]);
        Given::<Operation>::events([pending(), given_up("broken")])
            .when(OperationCommand::Finish(Ending::Succeeded(success())))
            .then([OperationEvent::Succeeded(success())]);
    }

    #[test]
    fn stored_events_never_change() {
        for (event, stored) in [
            (pending(), REQUESTED),
            (OperationEvent::Succeeded(success()), SUCCEEDED),
            (OperationEvent::Refused(refusal()), REFUSED),
            (OperationEvent::GivenUp { reason: "broken".to_owned() }, GIVEN_UP),
        ] {
            let written = encode(&event).unwrap();
            assert_eq!(written.escape_ascii().to_string(), stored.escape_ascii().to_string());
            assert_eq!(decode::<OperationEvent>(stored).unwrap(), event);
        }
        let least =
            RequestedCommand { key: None, content: None, condition: Condition::Any, ..requested("Confirm", None) };
        assert_eq!(decode::<RequestedCommand>(&encode(&least).unwrap()).unwrap(), least);
    }

    const REQUESTED: &[u8] =
        b"\x81\xa9Requested\x84\xa2to\x83\xa4type\xa5order\xa2id\xa3o-1\xa7command\xc4\x08\xa7Confirm\
        \xa3key\xa1k\xa7content\xcfV\x9b\xfc\xde\x10\xddFn\xa9condition\x81\xa6Marked\x82\xa7version\x03\xa4mark\x07";
    const SUCCEEDED: &[u8] = b"\x81\xa9Succeeded\x85\xa7version\x04\xa4mark\x08\xa8position\x09\xa6events\x91\x92\
        \xa9Confirmed\x04\xa5reply\xc4\x01\xc3";
    const REFUSED: &[u8] =
        b"\x81\xa7Refused\x83\xa7problem\xa8rejected\xa6detail\xb1the order is open\xa4code\xaaorder-open";
    const GIVEN_UP: &[u8] = b"\x81\xa7GivenUp\x81\xa6reason\xa6broken";
}
