//! The ports: what hosting wants done outside.
//!
//! Each call may be repeated, also while an earlier one is still being given up, and must then have the same effect.

use async_trait::async_trait;
use dormouse_aggregates::hosting::{BackupId, Domain, SiteId, SiteType, TenantId};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Makes and removes sites.
#[async_trait]
pub(super) trait Provisioner: Send + Sync {
    /// Makes the site ready for visitors.
    async fn provision(&self, site: &SiteOrder, call: &Call) -> Result<(), PortError>;

    /// Removes what was made. A site that was never made, or is removed already, is a success.
    async fn remove(&self, site: &SiteOrder, call: &Call) -> Result<(), PortError>;
}

/// Makes backups.
#[async_trait]
pub(super) trait Backups: Send + Sync {
    /// Makes a backup of the site, and returns its size in bytes once it is safe. A backup that exists is not made again.
    async fn make(&self, backup: &BackupId, site: &SiteOrder, call: &Call) -> Result<u64, PortError>;
}

/// The site that is to be made, removed or copied.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SiteOrder {
    pub(super) site: SiteId,
    pub(super) tenant: TenantId,
    pub(super) domain: Domain,
    pub(super) site_type: SiteType,
}

/// A call of a port.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The same at each attempt of the same job.
    pub(super) key: String,
    /// Cancelled when nobody waits for the call any more.
    pub(super) cancelled: CancellationToken,
}

/// Why a port could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct PortError(pub(super) String);
