//! One suite for all stores of keys, and for the keys in them.
//!
//! Every test is a sentence about keys in some [`Place`](support::Place), and runs in memory, in SQLite and in
//! PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in its helpers")]

#[path = "stores/support.rs"]
#[macro_use]
mod support;

#[path = "stores/contract.rs"]
mod contract;
#[path = "stores/damage.rs"]
mod damage;
#[path = "stores/forgetting.rs"]
mod forgetting;
#[path = "stores/keys.rs"]
mod keys;
#[path = "stores/paused.rs"]
mod paused;
#[path = "stores/postgres.rs"]
mod postgres;
#[path = "stores/races.rs"]
mod races;
#[path = "stores/rotation.rs"]
mod rotation;
#[path = "stores/sqlite.rs"]
mod sqlite;
