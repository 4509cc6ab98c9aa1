//! The aggregates of one type behind their addresses, with the type erased: the one place where HTTP meets generics.

use std::future::Future;
use std::pin::Pin;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::Response;
use dormouse_engine::{Aggregates, CommandOptions, QueryError, SnapshotVerification};
use dormouse_journal::{AsOf, Page, PageLimit};
use dormouse_kernel::{Aggregate, AggregateId, CommandKey, EventSelection, Version, variant_names};

use super::commands::{Command, Commands};
use super::outcome::Told;
use super::problem::{self, Problem};
use super::{content, decode, outcome, state};

/// What a handler gives back, once its aggregate type no longer matters.
pub(super) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The aggregates of one type.
pub(super) trait Resource: Send + Sync {
    /// The command that a path segment names.
    fn command(&self, segment: &str) -> Result<&Command, Problem>;

    /// The names of its events today.
    fn events(&self) -> &'static [&'static str];

    /// The stored events that are, or become, those of today with these names.
    fn select(&self, names: &[&str]) -> EventSelection;

    /// Decodes a command and carries it out.
    fn execute<'a>(
        &'a self,
        command: &'a Command,
        id: AggregateId,
        body: Bytes,
        options: CommandOptions,
    ) -> Pending<'a, Result<Told, Problem>>;

    /// The outcome of an earlier command.
    fn outcome<'a>(&'a self, id: &'a AggregateId, key: &'a CommandKey) -> Pending<'a, Result<Told, Problem>>;

    /// A state, unless the headers say that the client has it.
    fn state<'a>(
        &'a self,
        id: &'a AggregateId,
        as_of: AsOf,
        headers: &'a HeaderMap,
    ) -> Pending<'a, Result<Response, Problem>>;

    /// Compares the snapshots of an aggregate with what its events lead to.
    fn verify_snapshots<'a>(&'a self, id: &'a AggregateId) -> Pending<'a, Result<SnapshotVerification, QueryError>>;

    /// Events after a version, within `limit`.
    fn history<'a>(
        &'a self,
        id: &'a AggregateId,
        after: Version,
        limit: PageLimit,
    ) -> Pending<'a, Result<Page, QueryError>>;
}

pub(super) struct Typed<A: Aggregate> {
    pub(super) aggregates: Aggregates<A>,
    pub(super) commands: Commands,
}

impl<A: Aggregate> Resource for Typed<A> {
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
    ) -> Pending<'a, Result<Told, Problem>> {
        Box::pin(async move {
            let decoded = decode::command::<A::Command>(command.variant, command.is_array, &body)?;
            if options.key.is_some() {
                options.content = content::fingerprint(&body);
            }
            drop(body);
            let outcome = self.aggregates.execute_as_given(id, decoded, options).await?;
            outcome::tell(A::TYPE, outcome)
        })
    }

    fn outcome<'a>(&'a self, id: &'a AggregateId, key: &'a CommandKey) -> Pending<'a, Result<Told, Problem>> {
        Box::pin(async move {
            let recorded = self.aggregates.outcome_as_given(id, key).await?;
            let recorded = recorded.ok_or_else(|| {
                Problem::new(
                    &problem::COMMAND_NOT_FOUND,
                    "no command with this key made events here: it never took effect, made none, or is still under way",
                )
            })?;
            outcome::tell(A::TYPE, recorded)
        })
    }

    fn state<'a>(
        &'a self,
        id: &'a AggregateId,
        as_of: AsOf,
        headers: &'a HeaderMap,
    ) -> Pending<'a, Result<Response, Problem>> {
        Box::pin(async move {
            let stated = match as_of {
                AsOf::Now => self.aggregates.state(id).await?,
                past => self.aggregates.state_as_of(id, past).await?,
            };
            state::answer(A::TYPE, id, &stated, headers)
        })
    }

    fn verify_snapshots<'a>(&'a self, id: &'a AggregateId) -> Pending<'a, Result<SnapshotVerification, QueryError>> {
        Box::pin(self.aggregates.verify_snapshots(id))
    }

    fn history<'a>(
        &'a self,
        id: &'a AggregateId,
        after: Version,
        limit: PageLimit,
    ) -> Pending<'a, Result<Page, QueryError>> {
        Box::pin(self.aggregates.history(id, after, limit))
    }
}
