//! The aggregates of one type behind a trait without type parameters: the one place where HTTP meets the application's
//! types.

use std::future::Future;
use std::pin::Pin;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::Response;
use dormouse_engine::{Aggregates, CommandOptions, QueryError, SnapshotVerification};
use dormouse_journal::{AsOf, Page, PageLimit};
use dormouse_kernel::{Aggregate, AggregateId, CommandKey, EventSelection, Version, variant_names};

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

    fn outcome<'a>(
        &'a self,
        id: &'a AggregateId,
        key: &'a CommandKey,
    ) -> HandlerFuture<'a, Result<EncodedOutcome, Problem>> {
        Box::pin(async move {
            let recorded = self.aggregates.outcome_as_given(id, key).await?;
            let recorded = recorded.ok_or_else(|| {
                Problem::new(
                    &problem::COMMAND_NOT_FOUND,
                    "no command with this key made events here: it did not take effect, made no events, or is still \
                     running",
                )
            })?;
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
