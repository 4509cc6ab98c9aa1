//! The status of a site.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The status of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SiteStatus {
    /// The site waits for the reservation of its domain.
    Created,
    /// The site has its domain. A job provisions it.
    Provisioning,
    /// The site can be used.
    Provisioned,
    /// The domain is taken, or the provisioning failed.
    Failed,
    /// The site was deleted.
    Deleted,
}

impl fmt::Display for SiteStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Created => "created",
            Self::Provisioning => "provisioning",
            Self::Provisioned => "provisioned",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        })
    }
}
