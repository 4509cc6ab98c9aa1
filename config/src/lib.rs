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

mod admin;
mod admission;
mod audit;
mod auth;
mod cache;
mod commands;
mod gateway;
mod hosting;
mod journal;
mod limits;
mod listeners;
mod log;
mod messages;
mod modules;
mod nats;
mod passivation;
mod permissions;
mod projections;
mod queues;
mod runtime;
mod snapshots;
mod supervision;
mod tls;
mod views;
mod webhooks;

mod changes;
mod error;
mod host_name;
mod journal_url;
mod keys;
mod known_keys;
mod layers;
mod loaded;
mod network;
mod origin;
mod rate;
mod secret;
mod smtp_url;
mod sources;
mod text;
mod views_url;
mod web_origin;

pub use admin::Admin;
pub use admission::Admission;
pub use audit::Audit;
pub use auth::{Auth, AuthMode, Issuer, Jwks, Telegram};
pub use cache::Cache;
pub use changes::Changes;
pub use commands::{CommandMode, Commands};
pub use config::{Config, DEFAULT_TOML, profiles};
pub use error::Error;
pub use gateway::{ForwardedHeader, Gateway};
pub use host_name::{HostName, NotAHostName};
pub use hosting::{Hosting, HostingAdapter};
pub use journal::{Encryption, Journal, Postgres};
pub use journal_url::{InvalidJournalUrl, JournalUrl, PostgresUrl};
pub use keys::Keys;
pub use layers::load;
pub use limits::Limits;
pub use listeners::Listeners;
pub use loaded::{Loaded, Row};
pub use log::{Log, LogFormat, LogLevel};
pub use messages::Messages;
pub use modules::Modules;
pub use nats::{Nats, NatsUrl};
pub use network::{Network, NotANetwork};
pub use origin::Origin;
pub use passivation::Passivation;
pub use permissions::Permissions;
pub use projections::Projections;
pub use queues::{Queue, Queues};
pub use rate::{Rate, RateUnit};
pub use runtime::Runtime;
pub use smtp_url::{InvalidSmtpUrl, SmtpUrl};
pub use snapshots::{SnapshotStrategy, Snapshots};
pub use sources::Sources;
pub use supervision::Supervision;
pub use tls::{Tls, TlsVersion};
pub use validate::Violation;
pub use views::Views;
pub use views_url::{InvalidViewsUrl, ViewsUrl};
pub use web_origin::WebOrigin;
pub use webhooks::Webhooks;
