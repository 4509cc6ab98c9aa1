//! One suite for all view stores: what [`ViewStore`](dormouse_projections::ViewStore) promises.
//!
//! Every test is a sentence about views in some [`Place`](support::Place), and runs in memory, in SQLite and in
//! PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

#[path = "conformance/support.rs"]
#[macro_use]
mod support;

#[path = "conformance/oracle.rs"]
mod oracle;
#[path = "conformance/view_cache.rs"]
mod view_cache;

#[path = "conformance/asking.rs"]
mod asking;
#[path = "conformance/committing.rs"]
mod committing;
#[path = "conformance/damage.rs"]
mod damage;
#[path = "conformance/listing.rs"]
mod listing;
#[path = "conformance/paging.rs"]
mod paging;
#[path = "conformance/parking.rs"]
mod parking;
#[path = "conformance/preparing.rs"]
mod preparing;

#[path = "conformance/postgres.rs"]
mod postgres;
#[path = "conformance/replicas.rs"]
mod replicas;
#[path = "conformance/sqlite.rs"]
mod sqlite;
