//! `[auth]`: authentication of callers.

use serde::{Deserialize, Serialize};

/// Authentication of callers.
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
    /// Callers are not authenticated. Listening beyond loopback then requires `gateway.allow_unauthenticated`.
    None,
}
