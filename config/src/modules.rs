//! `[modules]`: which modules of the application run.

use serde::{Deserialize, Serialize};

/// The name that stands for all modules.
const ALL: &str = "*";

/// Which modules of the application run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modules {
    /// The modules that run, or `["*"]` for all. Default all; name those that this node should run.
    pub enabled: Vec<String>,
}

impl Modules {
    /// Whether the module of this name runs.
    #[must_use]
    pub fn is_enabled(&self, name: &str) -> bool {
        self.enabled.iter().any(|enabled| enabled == ALL || enabled == name)
    }

    /// The names of modules that are listed, without the one for all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.enabled.iter().map(String::as_str).filter(|name| *name != ALL)
    }
}
