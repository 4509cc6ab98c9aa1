//! Transfers between accounts, books, alarms and receipts: messages, a reactor, timers and a handler for tests.
//!
//! These aggregates believe every command: none recognizes a repetition. So a message or a timer that takes effect twice
//! shows in their events. `dormouse_harness::DeliveryCheck` reads these events, and shares no code with them.

mod account;
mod alarm;
mod book;
mod receipts;
mod transfer;

use dormouse::App;

pub(crate) fn add_to(app: App) -> App {
    app.aggregate::<account::Account>()
        .aggregate::<transfer::Transfer>()
        .aggregate::<book::Book>()
        .aggregate::<alarm::Alarm>()
        .reactor::<book::Bookkeeper>()
        .handler_with(|_| receipts::Receipts::from_environment())
}
