//! What the tests of Dormouse stand on: a real PostgreSQL, the real `dormouse` binary, and a client that tells what it
//! knows from what it doesn't.
//!
//! [`Postgres`] is a cluster in a temporary directory, [`Server`] the binary on a free port, [`Client`] a plain blocking
//! HTTP client, [`Ledger`] the client's own record of what it asked and what it was told, [`eventually`] the only way
//! to wait. Both processes end when the test process ends, however it ends (`guard.rs`).
//!
//! Everything blocks and panics with a sentence that says what went wrong: that is how a test fails. What a test wants
//! to see fail has a `Result`: [`ServerBuilder::try_start`], [`Server::try_restart`] and the requests of [`Client`].

mod binary;
mod client;
mod guard;
mod ledger;
mod logs;
mod postgres;
mod server;
mod wait;

pub use binary::{bank_example, dormouse_binary, failing_binary};
pub use client::{Answer, Client, NoAnswer};
pub use ledger::{Attempt, Entry, Ledger, Outcome};
pub use postgres::Postgres;
pub use server::{Server, ServerBuilder, StartError};
pub use wait::{Condition, eventually};
