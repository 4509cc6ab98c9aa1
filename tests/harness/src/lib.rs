//! The tools of the tests: a real PostgreSQL, the real `dormouse` binary, and clients that record what they know for
//! certain.
//!
//! [`Postgres`] is a cluster in a temporary directory, [`Nats`] a server with JetStream, [`Server`] the binary on a
//! free port, [`Client`] a plain blocking HTTP client, and [`eventually`] the only way to wait. Faults strike under the
//! load of a [`Shop`]. Its clients keep a [`Ledger`] of their requests and answers, and a [`LedgerCheck`] compares it
//! with what the server returns. A [`DeliveryCheck`] finds what became of messages, timers and jobs. The [`Fold`] of
//! the log is the expected content of the views. [`Load`] is many clients at once, and [`Wire`] a connection on which a
//! test sends any bytes. An [`Authority`] signs certificates, a [`TokenIssuer`] tokens, and an [`OidcProvider`] is
//! an identity provider of others. All processes end when the test process ends, however it ends (`guard.rs`).
//!
//! Everything blocks, and panics with a message that says what went wrong: that is how a test fails. Where a test
//! expects a failure, there is a `Result`: [`ServerBuilder::try_start`], [`Server::try_restart`] and the requests of
//! [`Client`].

mod ability;
mod alone;
mod binary;
mod certificates;
mod client;
mod cycles;
mod delivery_check;
mod faulty_disk;
mod fold;
mod guard;
mod ledger;
mod ledger_check;
mod load;
mod logs;
mod memory;
mod messages;
mod nats;
mod oidc_provider;
mod own_disk;
mod postgres;
mod proxy;
mod random;
mod server;
mod shop;
mod telegram;
mod token_issuer;
mod wait;
mod wire;

pub use ability::Ability;
pub use alone::alone;
pub use binary::{bank_example, chaos_binary, dormouse_binary, failing_binary};
pub use certificates::{Authority, Certificate};
pub use client::{Answer, Client, NoAnswer};
pub use cycles::cycles;
pub use delivery_check::DeliveryCheck;
pub use faulty_disk::{Call, Errno, FaultyDisk};
pub use fold::{Difference, Fold, Log, Mismatch, ServedView, VIEWS, ViewDocument, differences};
pub use ledger::{Attempt, Entry, Ledger, Outcome, Reading};
pub use ledger_check::{Finding, LedgerCheck, Promise, quick_check};
pub use load::{Load, Loading, Report, Requested, post_bytes, quantile};
pub use memory::{forget_peak_resident_bytes, peak_resident_bytes, resident_bytes};
pub use messages::wait_for_messages;
pub use nats::{Nats, NatsMessage};
pub use oidc_provider::OidcProvider;
pub use own_disk::OwnDisk;
pub use postgres::{PgBouncer, Postgres};
pub use proxy::{Cut, Direction, Fault, Moment, Proxy};
pub use random::Random;
pub use server::{Server, ServerBuilder, StartError};
pub use shop::{Script, Shop, ShopBuilder};
pub use telegram::telegram_init_data;
pub use token_issuer::TokenIssuer;
pub use wait::{Condition, eventually};
pub use wire::{Heard, Wire, raise_file_limit};
