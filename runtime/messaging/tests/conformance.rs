//! One suite for all stores: the contract of [`QueueStore`](dormouse_messaging::QueueStore).
//!
//! Every test is a sentence about queues in some [`Place`](support::Place), and runs in memory, in SQLite and in
//! PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in its helpers")]

#[path = "conformance/support.rs"]
#[macro_use]
mod support;

#[path = "conformance/committing.rs"]
mod committing;
#[path = "conformance/damage.rs"]
mod damage;
#[path = "conformance/forgetting.rs"]
mod forgetting;
#[path = "conformance/jobs.rs"]
mod jobs;
#[path = "conformance/oracle.rs"]
mod oracle;
#[path = "conformance/ownership.rs"]
mod ownership;
#[path = "conformance/progress.rs"]
mod progress;
#[path = "conformance/settings.rs"]
mod settings;
#[path = "conformance/switches.rs"]
mod switches;
#[path = "conformance/timers.rs"]
mod timers;

#[path = "conformance/postgres.rs"]
mod postgres;
#[path = "conformance/scale.rs"]
mod scale;
#[path = "conformance/sqlite.rs"]
mod sqlite;
