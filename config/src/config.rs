//! The whole configuration, its embedded defaults and profiles.

use crate::{
    Admin, Admission, Audit, Auth, Cache, Commands, Gateway, Hosting, Journal, Keys, Limits, Listeners, Log, Messages,
    Modules, Nats, Passivation, Permissions, Projections, Queues, Runtime, Snapshots, Supervision, Views, Webhooks,
};
use serde::{Deserialize, Serialize};

/// The commented default file, as `dormouse config default` prints it.
pub const DEFAULT_TOML: &str = include_str!("../default.toml");

const PROFILES: [(&str, &str); 3] = [
    ("development", include_str!("../profiles/development.toml")),
    ("production", include_str!("../profiles/production.toml")),
    ("enterprise", include_str!("../profiles/enterprise.toml")),
];

/// Every setting of Dormouse, one field for each section.
///
/// There is no `Default`: start from [`Config::embedded`], or from [`load`](crate::load). Serialization masks secrets:
/// a serialized configuration can be shown, but cannot be read back to the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which modules of the application run.
    pub modules: Modules,
    /// The HTTP server.
    pub gateway: Gateway,
    /// Authentication of callers.
    pub auth: Auth,
    /// What callers may do.
    pub permissions: Permissions,
    /// How often a caller may ask.
    pub limits: Limits,
    /// From where operators reach the server.
    pub admin: Admin,
    /// The log of what operators changed, and of which callers were let in.
    pub audit: Audit,
    /// The storage of events.
    pub journal: Journal,
    /// The keys that encrypt data at rest.
    pub keys: Keys,
    /// When snapshots are taken and how long they are kept.
    pub snapshots: Snapshots,
    /// Deadlines and idempotency of commands.
    pub commands: Commands,
    /// How many commands may wait.
    pub admission: Admission,
    /// How the work is divided, and how time is kept.
    pub runtime: Runtime,
    /// When live aggregates are unloaded.
    pub passivation: Passivation,
    /// How views are kept up to date.
    pub projections: Projections,
    /// Where views are stored, and how they are read.
    pub views: Views,
    /// Results of queries that are kept in memory.
    pub cache: Cache,
    /// How messages between aggregates, reactors and timers are delivered.
    pub messages: Messages,
    /// The workers of handlers.
    pub queues: Queues,
    /// Which reactors and handlers are switched off.
    pub listeners: Listeners,
    /// Events that are sent to receivers on the web.
    pub webhooks: Webhooks,
    /// Events that are published to NATS JetStream.
    pub nats: Nats,
    /// How the module `hosting` makes sites and backups.
    pub hosting: Hosting,
    /// Restarts after a panic or the loss of a component.
    pub supervision: Supervision,
    /// Logs.
    pub log: Log,
}

impl Config {
    /// The defaults that are embedded in the binary, without profile, file or environment.
    pub fn embedded() -> Self {
        toml::from_str(DEFAULT_TOML).expect("the embedded default.toml is complete, a test checks that")
    }
}

/// The names of the embedded profiles.
pub fn profiles() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}

/// The overlay of an embedded profile, as TOML.
pub(crate) fn profile(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(known, _)| *known == name).map(|(_, overlay)| *overlay)
}
