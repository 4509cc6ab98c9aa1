//! What the journal, the queues and the views share to keep rows in SQLite and PostgreSQL.
//!
//! [`sqlite`] opens files that can be made again from other data ([`sqlite::derived_file`]) and files that cannot
//! ([`sqlite::kept_file`]), lends connections to them ([`sqlite::Pool`]) and watches their write-ahead logs
//! ([`sqlite::WalWatch`]). [`postgres`] keeps connections for one purpose each ([`postgres::Sessions`]), brings schemas up
//! to date ([`postgres::Schema`]), says what an error means for the statement ([`postgres::Failure`]), and reads from
//! replicas ([`postgres::Replicas`]). Both share [`Error`] and the conversions of integers.
//!
//! This crate knows neither events nor views: what a statement says is up to the crates that use it.

mod error;
mod metric;
mod migrated;
mod number;
pub mod postgres;
pub mod sqlite;

pub use error::Error;
pub use metric::describe as describe_metrics;
pub use migrated::Migrated;
pub use number::{OutOfRange, from_sql, to_sql};
