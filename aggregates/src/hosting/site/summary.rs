//! The site as its events describe it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hosting::{Domain, SiteStatus, SiteType, TenantId};

/// A site just before an event. A reader that sees only the event, like the view of a tenant or a job, learns from it
/// whose site it is, and what it is.
///
/// It is stored in events, so it accepts unknown fields: an older version of the application may read newer events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteSummary {
    /// The tenant who owns the site.
    pub tenant: TenantId,
    /// The domain.
    pub domain: Domain,
    /// What is installed on the site.
    pub site_type: SiteType,
    /// The status before the event.
    pub status: SiteStatus,
}
