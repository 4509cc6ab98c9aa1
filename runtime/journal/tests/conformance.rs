//! One suite for all stores: what the journal promises, and what it asks of a [`Store`](dormouse_journal::Store).
//!
//! Every test is a sentence about a journal in some [`Place`](support::Place), and runs in memory, in SQLite and in
//! PostgreSQL. What only one store can be asked stands apart: `postgres_faults`, `postgres_wire`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

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
