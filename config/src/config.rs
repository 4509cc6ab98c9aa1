//! The whole configuration, its embedded defaults and profiles.

use crate::{
    Admission, Auth, Cache, Commands, Gateway, Journal, Log, Passivation, Projections, Runtime, Snapshots, Supervision,
    Views,
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
    /// The HTTP server.
    pub gateway: Gateway,
    /// Authentication of callers.
    pub auth: Auth,
    /// The storage of events.
    pub journal: Journal,
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
