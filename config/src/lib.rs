//! Every setting of Dormouse: defaults, layers, and where each value came from.
//!
//! [`Config`] is plain data, one struct for each section. Only `default.toml` defines its defaults. [`load`] replaces
//! them by the values of a profile, a file, the environment and `--set`, and records the [`Origin`] of every value. No
//! other crate of Dormouse reads the environment.
//!
//! ```
//! let sources = dormouse_config::Sources {
//!     profile: Some("production".to_owned()),
//!     overrides: vec!["runtime.shards=128".to_owned()],
//!     ..Default::default()
//! };
//! let loaded = dormouse_config::load(&sources)?;
//! assert_eq!(loaded.config.runtime.shards.get(), 128);
//! assert_eq!(loaded.origin("runtime.shards").unwrap().to_string(), "--set");
//! # Ok::<(), dormouse_config::Error>(())
//! ```

mod config;
mod validate;

mod admission;
mod auth;
mod cache;
mod commands;
mod gateway;
mod journal;
mod log;
mod passivation;
mod projections;
mod runtime;
mod snapshots;
mod supervision;
mod views;

mod changes;
mod error;
mod host_name;
mod journal_url;
mod known_keys;
mod layers;
mod loaded;
mod origin;
mod secret;
mod sources;
mod text;
mod views_url;

pub use admission::Admission;
pub use auth::{Auth, AuthMode};
pub use cache::Cache;
pub use changes::Changes;
pub use commands::Commands;
pub use config::{Config, DEFAULT_TOML, profiles};
pub use error::Error;
pub use gateway::Gateway;
pub use host_name::{HostName, NotAHostName};
pub use journal::{Journal, Postgres};
pub use journal_url::{InvalidJournalUrl, JournalUrl, PostgresUrl};
pub use layers::load;
pub use loaded::{Loaded, Row};
pub use log::{Log, LogFormat, LogLevel};
pub use origin::Origin;
pub use passivation::Passivation;
pub use projections::Projections;
pub use runtime::Runtime;
pub use snapshots::{SnapshotStrategy, Snapshots};
pub use sources::Sources;
pub use supervision::Supervision;
pub use validate::Violation;
pub use views::Views;
pub use views_url::{InvalidViewsUrl, ViewsUrl};
