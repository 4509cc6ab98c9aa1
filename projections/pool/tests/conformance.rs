//! One suite for all view stores: the contract of [`ViewStore`](dormouse_projections::ViewStore).
//!
//! Every test is a sentence about views in some [`Place`](support::Place), and runs in memory, in SQLite and in
//! PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in its helpers")]

#[path = "conformance/support.rs"]
#[macro_use]
mod support;

#[path = "conformance/filled_view.rs"]
mod filled_view;
#[path = "conformance/oracle.rs"]
mod oracle;
#[path = "conformance/school.rs"]
mod school;

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
#[path = "conformance/personal.rs"]
mod personal;
#[path = "conformance/preparing.rs"]
mod preparing;
#[path = "conformance/querying.rs"]
mod querying;

#[path = "conformance/postgres.rs"]
mod postgres;
#[path = "conformance/replicas.rs"]
mod replicas;
#[path = "conformance/sqlite.rs"]
mod sqlite;
