//! `[permissions]`: what callers may do. It has no effect while callers are not authenticated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What callers may do. A table has the names of actions, and the roles that may do each. Nobody may do an action that
/// no table names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// The commands. Default: the permissions of the application's modules.
    pub commands: BTreeMap<String, Vec<String>>,
    /// The queries. Default: the permissions of the application's modules.
    pub queries: BTreeMap<String, Vec<String>>,
    /// What operators look at and change. Default: all of it for the role `admin`.
    pub admin: BTreeMap<String, Vec<String>>,
}
