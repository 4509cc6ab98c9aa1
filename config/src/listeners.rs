//! `[listeners]`: which reactors and handlers are switched off.

use serde::{Deserialize, Serialize};

/// Which reactors and handlers are switched off. An operator can switch others off while the server runs
/// (`dormouse listeners`), but none of these on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listeners {
    /// Listeners that keep their place and do nothing, such as `handler/notify-tenant`.
    pub paused: Vec<String>,
    /// Listeners that pass over all events.
    pub disabled: Vec<String>,
}
