//! What is installed on a site.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is installed on a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SiteType {
    /// WordPress.
    Wordpress,
    /// Files that are served as they are.
    Static,
    /// A Laravel application.
    Laravel,
}
