//! The aggregates of one type behind a trait without type parameters: the one place where HTTP meets the application's
//! types.

use std::future::Future;
use std::pin::Pin;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::Response;
use dormouse_engine::{Aggregates, CommandOptions, Outcome, QueryError, SnapshotVerification};
use dormouse_journal::{AsOf, Page, PageLimit};
use dormouse_kernel::{
    AddressedCommand, Aggregate, AggregateId, CommandKey, EventSelection, Fingerprint, Version, variant_names,
};

use super::commands::{Command, Commands};
use super::outcome::EncodedOutcome;
use super::problem::{self, Problem};
use super::{content, decode, outcome, state};

/// The future of a method of [`Resource`].
pub(super) type HandlerFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The aggregates of one type.
pub(super) trait Resource: Send + Sync {
    /// Finds a command by its path segment.
    fn command(&self, segment: &str) -> Result<&Command, Problem>;

    /// The current names of the type's events.
    fn events(&self) -> &'static [&'static str];

    /// Selects the stored events that have these names today, or get them by upcasting.
    fn select(&self, names: &[&str]) -> EventSelection;

    /// Decodes a command and carries it out.
    fn execute<'a>(
        &'a self,
        command: &'a Command,
        id: AggregateId,
        body: Bytes,
        options: CommandOptions,
    ) -> HandlerFuture<'a, Result<EncodedOutcome, Problem>>;

    /// Decodes a command, and encodes it for the aggregate that shall decide it later.
    fn encode(&self, command: &Command, id: AggregateId, body: &[u8]) -> Result<AddressedCommand, Problem>;

    /// Seals the personal values of a command that is stored, and the fingerprint of what its sender wrote.
    fn seal<'a>(
        &'a self,
        command: AddressedCommand,
        content: Option<Fingerprint>,
        sender: Option<&'a str>,
    ) -> HandlerFuture<'a, Result<(AddressedCommand, Option<Fingerprint>), QueryError>>;

    /// Opens the reply to such a command.
    fn open_reply<'a>(&'a self, id: &'a AggregateId, reply: Vec<u8>) -> HandlerFuture<'a, Result<Vec<u8>, QueryError>>;

    /// Encodes the outcome of a command that was carried out before, with its reply as it was stored.
    fn encode_stored(&self, outcome: Outcome<Vec<u8>>) -> Result<EncodedOutcome, Problem>;

    /// The outcome of an earlier command.
    fn outcome<'a>(
        &'a self,
        id: &'a AggregateId,
        key: &'a CommandKey,
    ) -> HandlerFuture<'a, Result<EncodedOutcome, Problem>>;

    /// The response with a state; without content if the headers say that the client has it.
    fn state<'a>(
        &'a self,
        id: &'a AggregateId,
        as_of: AsOf,
        headers: &'a HeaderMap,
    ) -> HandlerFuture<'a, Result<Response, Problem>>;

    /// Whether an aggregate exists and belongs to this subject now.
    fn is_of<'a>(&'a self, id: &'a AggregateId, subject: &'a str) -> HandlerFuture<'a, Result<bool, QueryError>>;

    /// Compares the snapshots of an aggregate with the states that its events lead to.
    fn verify_snapshots<'a>(
        &'a self,
        id: &'a AggregateId,
    ) -> HandlerFuture<'a, Result<SnapshotVerification, QueryError>>;

    /// Events after a version, within `limit`.
    fn history<'a>(
        &'a self,
        id: &'a AggregateId,
        after: Version,
        limit: PageLimit,
    ) -> HandlerFuture<'a, Result<Page, QueryError>>;
}

pub(super) struct TypedResource<A: Aggregate> {
    pub(super) aggregates: Aggregates<A>,
    pub(super) commands: Commands,
}

impl<A: Aggregate> Resource for TypedResource<A> {
    fn command(&self, segment: &str) -> Result<&Command, Problem> {
        self.commands.find(A::TYPE, segment)
    }

    fn events(&self) -> &'static [&'static str] {
        variant_names::<A::Event>().unwrap_or_default()
    }

    fn select(&self, names: &[&str]) -> EventSelection {
        self.aggregates.select_events(names)
    }

    fn execute<'a>(
        &'a self,
        command: &'a Command,
        id: AggregateId,
        body: Bytes,
        mut options: CommandOptions,
    ) -> HandlerFuture<'a, Result<EncodedOutcome, Problem>> {
        Box::pin(async move {
            let decoded = decode::command::<A::Command>(command.variant, command.is_array, &body)?;
            if options.key.is_some() {
                options.content = content::fingerprint(&body);
            }
            drop(body);
            let outcome = self.aggregates.execute_as_given(id, decoded, options).await?;
            outcome::encode_outcome(A::TYPE, outcome)
        })
    }

    fn encode(&self, command: &Command, id: AggregateId, body: &[u8]) -> Result<AddressedCommand, Problem> {
        let decoded = decode::command::<A::Command>(command.variant, command.is_array, body)?;
        AddressedCommand::new::<A>(id, &decoded).map_err(|error| {
            Problem::new(&problem::UNSTORABLE, "the command cannot be stored").because(error.to_string())
        })
    }

    fn seal<'a>(
        &'a self,
        command: AddressedCommand,
        content: Option<Fingerprint>,
        sender: Option<&'a str>,
    ) -> HandlerFuture<'a, Result<(AddressedCommand, Option<Fingerprint>), QueryError>> {
        Box::pin(self.aggregates.sealed_command(command, content, sender))
    }

    fn open_reply<'a>(&'a self, id: &'a AggregateId, reply: Vec<u8>) -> HandlerFuture<'a, Result<Vec<u8>, QueryError>> {
        Box::pin(self.aggregates.opened_reply(id, reply))
    }

    fn encode_stored(&self, outcome: Outcome<Vec<u8>>) -> Result<EncodedOutcome, Problem> {
        outcome::encode_stored::<A::Reply>(A::TYPE, outcome)
    }

    fn outcome<'a>(
        &'a self,
        id: &'a AggregateId,
        key: &'a CommandKey,
    ) -> HandlerFuture<'a, Result<EncodedOutcome, Problem>> {
        Box::pin(async move {
            let recorded = self.aggregates.outcome_as_given(id, key).await?;
            let recorded = recorded.ok_or_else(outcome::not_found)?;
            outcome::encode_outcome(A::TYPE, recorded)
        })
    }

    fn state<'a>(
        &'a self,
        id: &'a AggregateId,
        as_of: AsOf,
        headers: &'a HeaderMap,
    ) -> HandlerFuture<'a, Result<Response, Problem>> {
        Box::pin(async move {
            let state = match as_of {
                AsOf::Now => self.aggregates.state(id).await?,
                past => self.aggregates.state_as_of(id, past).await?,
            };
            state::answer(A::TYPE, id, &state, headers)
        })
    }

    fn is_of<'a>(&'a self, id: &'a AggregateId, subject: &'a str) -> HandlerFuture<'a, Result<bool, QueryError>> {
        Box::pin(async move {
            match self.aggregates.state(id).await {
                Ok(found) => Ok(found.state.owner(id) == Some(subject)),
                Err(QueryError::NotFound) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn verify_snapshots<'a>(
        &'a self,
        id: &'a AggregateId,
    ) -> HandlerFuture<'a, Result<SnapshotVerification, QueryError>> {
        Box::pin(self.aggregates.verify_snapshots(id))
    }

    fn history<'a>(
        &'a self,
        id: &'a AggregateId,
        after: Version,
        limit: PageLimit,
    ) -> HandlerFuture<'a, Result<Page, QueryError>> {
        Box::pin(self.aggregates.history(id, after, limit))
    }
}
