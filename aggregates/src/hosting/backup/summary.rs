//! The backup as its events describe it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hosting::{BackupStatus, Domain, SiteId, SiteType, TenantId};

/// A backup just before an event. A reader that sees only the event, like the view of a tenant, learns from it whose
/// backup it is.
///
/// It is stored in events, so it accepts unknown fields: an older version of the application may read newer events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupSummary {
    /// The site.
    pub site: SiteId,
    /// The tenant who owns the site, after the site has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The domain of the site, after the site has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// What is installed on the site, after the site has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_type: Option<SiteType>,
    /// The status before the event.
    pub status: BackupStatus,
}
