//! What the tests of Dormouse stand on: a real PostgreSQL, the real `dormouse` binary, and a client that tells what it
//! knows from what it doesn't.
//!
//! [`Postgres`] is a cluster in a temporary directory, [`Server`] the binary on a free port, [`Client`] a plain blocking
//! HTTP client, [`eventually`] the only way to wait. Faults strike under the load of a [`Shop`]; its clients keep a
//! [`Ledger`] of what they asked and what they were told, and a [`Verdict`] holds that against what the server tells. What
//! views must show is the [`Fold`] of the log.
//! [`Load`] is many clients at once, [`Wire`] a connection for one that does as it likes. All processes end when the
//! test process ends, however it ends (`guard.rs`).
//!
//! Everything blocks and panics with a sentence that says what went wrong: that is how a test fails. What a test wants
//! to see fail has a `Result`: [`ServerBuilder::try_start`], [`Server::try_restart`] and the requests of [`Client`].

mod ability;
mod alone;
mod binary;
mod client;
mod cycles;
mod faulty_disk;
mod fold;
mod guard;
mod ledger;
mod load;
mod logs;
mod memory;
mod own_disk;
mod postgres;
mod proxy;
mod random;
mod server;
mod shop;
mod verdict;
mod wait;
mod wire;

pub use ability::Ability;
pub use alone::alone;
pub use binary::{bank_example, chaos_binary, dormouse_binary, failing_binary};
pub use client::{Answer, Client, NoAnswer};
pub use cycles::cycles;
pub use faulty_disk::{Call, Errno, FaultyDisk};
pub use fold::{Difference, Fold, Kept, Log, Shown, VIEWS, Wrong, differences};
pub use ledger::{Attempt, Entry, Ledger, Outcome, Reading};
pub use load::{Load, Loading, Report, Requested, post_bytes, quantile};
pub use memory::{forget_peak_resident_bytes, peak_resident_bytes, resident_bytes};
pub use own_disk::OwnDisk;
pub use postgres::{PgBouncer, Postgres};
pub use proxy::{Cut, Fault, Moment, Proxy, Way};
pub use random::Random;
pub use server::{Server, ServerBuilder, StartError};
pub use shop::{Shop, ShopBuilder};
pub use verdict::{Finding, Promise, Verdict, glance};
pub use wait::{Condition, eventually};
pub use wire::{Heard, Wire, raise_file_limit};
