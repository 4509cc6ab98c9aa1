//! Books: a reactor enters each event of an account into the account's book.

use std::convert::Infallible;

use dormouse::{Aggregate, Context, DomainEvent, Event, React, Reactions, Reactor, ReactorSources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account::Account;

/// The entries are only in its events.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Book {}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum BookCommand {
    Enter { number: u64 },
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum BookEvent {
    Entered { number: u64 },
}

impl DomainEvent for BookEvent {}

impl Aggregate for Book {
    const TYPE: &'static str = "book";
    type Command = BookCommand;
    type Event = BookEvent;
    type Reply = ();
    type Rejection = Infallible;

    fn decide(&self, command: BookCommand, context: &mut Context<Self>) -> Result<(), Infallible> {
        let BookCommand::Enter { number } = command;
        context.emit(BookEvent::Entered { number });
        Ok(())
    }

    fn evolve(&mut self, _: &BookEvent) {}
}

/// Enters the version of each event, so that the entries of a book must be 1, 2, 3, …
pub(crate) struct Bookkeeper;

impl Reactor for Bookkeeper {
    const NAME: &'static str = "bookkeeper";

    fn sources(sources: ReactorSources<Self>) -> ReactorSources<Self> {
        sources.of::<Account>()
    }
}

impl React<Account> for Bookkeeper {
    fn react(event: &Event<'_, Account>, reactions: &mut Reactions) {
        reactions.send::<Book>(event.id().as_str(), BookCommand::Enter { number: event.version().0 });
    }
}
