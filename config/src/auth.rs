//! `[auth]`: who may call.

use serde::{Deserialize, Serialize};

/// Who may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// How callers prove who they are. Default `none`, the only mode so far.
    pub mode: AuthMode,
}

/// How callers prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Nobody is asked. Listening beyond loopback then needs `gateway.allow_unauthenticated`.
    None,
}
