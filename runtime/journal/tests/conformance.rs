//! One suite for all stores: the promises of the journal, and the contract of a [`Store`](dormouse_journal::Store).
//!
//! Every test is a sentence about a journal in some [`Place`](support::Place), and runs in memory, in SQLite and in
//! PostgreSQL. Tests of one store only are in files of their own: `postgres_faults`, `postgres_wire`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in its helpers")]

#[path = "conformance/support.rs"]
#[macro_use]
mod support;

#[path = "conformance/append_sessions.rs"]
mod append_sessions;
#[path = "conformance/appending.rs"]
mod appending;
#[path = "conformance/closing.rs"]
mod closing;
#[path = "conformance/feed.rs"]
mod feed;
#[path = "conformance/group_commit.rs"]
mod group_commit;
#[path = "conformance/keys.rs"]
mod keys;
#[path = "conformance/outcomes.rs"]
mod outcomes;
#[path = "conformance/ownership.rs"]
mod ownership;
#[path = "conformance/paging.rs"]
mod paging;
#[path = "conformance/reading.rs"]
mod reading;
#[path = "conformance/selecting.rs"]
mod selecting;
#[path = "conformance/snapshots.rs"]
mod snapshots;

#[path = "conformance/postgres_faults.rs"]
mod postgres_faults;
#[path = "conformance/postgres_replicas.rs"]
mod postgres_replicas;
#[path = "conformance/postgres_wire.rs"]
mod postgres_wire;
