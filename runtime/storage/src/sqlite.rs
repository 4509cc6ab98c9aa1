//! SQLite files: how they are recognized, opened and replaced, and the connections to them.

pub mod derived_file;
mod durable;
pub mod error;
mod files;
pub mod kept_file;
mod opening;
mod pool;
mod schema;
mod wal_watch;

pub use durable::make_durable;
pub use files::BUSY_TIMEOUT;
pub use pool::{Borrowed, Pool};
pub use schema::{FileIdentity, Schema};
pub use wal_watch::WalWatch;
