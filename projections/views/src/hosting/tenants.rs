//! The totals of each tenant.

use std::borrow::Cow;

use dormouse_aggregates::hosting::{Backup, BackupEvent, Site, SiteEvent, Tenant, TenantEvent, TenantId, Text};
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Moment;

/// The view `tenants`: one document for each tenant. The key is the tenant's id.
///
/// It counts the events of sites and backups itself, each exactly once, and not what a listener tells the tenant
/// (`SiteCounted` and the like). Nobody checks that the tenant of a site exists, so there may be a document without a
/// name.
#[derive(Clone, Copy, Debug)]
pub struct Tenants;

/// The totals of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantTotal {
    /// The tenant's id.
    pub tenant: TenantId,
    /// The name. Null if the tenant was not created.
    pub name: Option<Text>,
    /// Sites that were created and not deleted, whatever their status is.
    pub sites: u64,
    /// Completed backups, also of sites that were deleted.
    pub backups: u64,
    /// The bytes of all completed backups.
    pub backup_bytes: u64,
    /// When the tenant was created, if it was.
    pub created_at: Option<Moment>,
    /// When the tenant was created, or one of the totals last changed.
    pub updated_at: Moment,
}

impl Projection for Tenants {
    const NAME: &'static str = "tenants";
    type Document = TenantTotal;

    fn fields() -> Fields {
        Fields::none().text("name").integer("sites").integer("backups").integer("backup_bytes").text("updated_at")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Tenant>().of::<Site>().of::<Backup>()
    }

    fn query_one() -> Cow<'static, str> {
        "GetTenant".into()
    }
}

impl Project<Tenant> for Tenants {
    fn keys(event: &Event<'_, Tenant>) -> Keys {
        match event.body() {
            TenantEvent::TenantCreated { .. } => Keys::one(event.id()),
            TenantEvent::SiteCounted { .. } | TenantEvent::SiteUncounted { .. } | TenantEvent::BackupCounted { .. } => {
                Keys::none()
            }
        }
    }

    fn project(current: Option<TenantTotal>, event: &Event<'_, Tenant>, _: &Key) -> Option<TenantTotal> {
        let TenantEvent::TenantCreated { name, .. } = event.body() else { return current };
        let now = Moment::from(event.recorded_at());
        let total = TenantTotal::at(now, current, &TenantId::from(event.id()));
        Some(TenantTotal { name: Some(name.clone()), created_at: Some(now), ..total })
    }
}

impl Project<Site> for Tenants {
    fn keys(event: &Event<'_, Site>) -> Keys {
        match event.body() {
            SiteEvent::SiteCreated { tenant, .. } => Keys::one(tenant.as_str()),
            SiteEvent::SiteDeleted { was } => Keys::one(was.tenant.as_str()),
            SiteEvent::SiteDomainReserved { .. }
            | SiteEvent::SiteProvisioned { .. }
            | SiteEvent::SiteProvisioningFailed { .. } => Keys::none(),
        }
    }

    fn project(current: Option<TenantTotal>, event: &Event<'_, Site>, _: &Key) -> Option<TenantTotal> {
        let now = Moment::from(event.recorded_at());
        match event.body() {
            SiteEvent::SiteCreated { tenant, .. } => {
                let mut total = TenantTotal::at(now, current, tenant);
                total.sites = total.sites.saturating_add(1);
                Some(total)
            }
            SiteEvent::SiteDeleted { was } => {
                let mut total = TenantTotal::at(now, current, &was.tenant);
                total.sites = total.sites.saturating_sub(1);
                Some(total)
            }
            SiteEvent::SiteDomainReserved { .. }
            | SiteEvent::SiteProvisioned { .. }
            | SiteEvent::SiteProvisioningFailed { .. } => current,
        }
    }
}

impl Project<Backup> for Tenants {
    fn keys(event: &Event<'_, Backup>) -> Keys {
        match event.body() {
            BackupEvent::BackupCompleted { was, .. } => was.tenant.iter().map(TenantId::as_str).collect(),
            BackupEvent::BackupCreated { .. }
            | BackupEvent::BackupStarted { .. }
            | BackupEvent::BackupFailed { .. } => Keys::none(),
        }
    }

    fn project(current: Option<TenantTotal>, event: &Event<'_, Backup>, _: &Key) -> Option<TenantTotal> {
        let BackupEvent::BackupCompleted { size_bytes, was, .. } = event.body() else { return current };
        let Some(tenant) = &was.tenant else { return current };
        let mut total = TenantTotal::at(event.recorded_at().into(), current, tenant);
        total.backups = total.backups.saturating_add(1);
        total.backup_bytes = total.backup_bytes.saturating_add(size_bytes.get());
        Some(total)
    }
}

impl TenantTotal {
    /// The totals before an event of this time.
    fn at(now: Moment, current: Option<Self>, tenant: &TenantId) -> Self {
        match current {
            // The clocks of two nodes may differ, so an earlier event may have a later time.
            Some(total) => Self { updated_at: total.updated_at.max(now), ..total },
            None => Self {
                tenant: tenant.clone(),
                name: None,
                sites: 0,
                backups: 0,
                backup_bytes: 0,
                created_at: None,
                updated_at: now,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_aggregates::hosting::{BackupStatus, SiteStatus};
    use dormouse_projections::Given;

    use super::*;
    use crate::hosting::stories::{
        at, backup_completed, backup_created, backup_failed, backup_started, deleted, provisioned, reserved,
        site_counted, site_created, tenant, tenant_created, text,
    };

    fn ada() -> TenantTotal {
        TenantTotal {
            name: Some(text("Ada's Teas")),
            created_at: Some(at(1).into()),
            ..TenantTotal::at(at(1).into(), None, &tenant("ada"))
        }
    }

    fn given_ada() -> Given<Tenants> {
        Given::nothing().at(at(1)).when::<Tenant>("ada", [tenant_created()]).then("ada", &ada())
    }

    #[test]
    fn sites_are_counted_until_they_are_deleted() {
        given_ada()
            .at(at(2))
            .when::<Site>("s-1", [site_created("ada"), reserved("ada"), provisioned("ada", SiteStatus::Provisioning)])
            .when::<Site>("s-2", [site_created("ada")])
            .then("ada", &TenantTotal { sites: 2, updated_at: at(2).into(), ..ada() })
            .at(at(3))
            .when::<Site>("s-1", [deleted("ada", SiteStatus::Provisioned)])
            .then("ada", &TenantTotal { sites: 1, updated_at: at(3).into(), ..ada() });
    }

    #[test]
    fn completed_backups_are_counted_with_their_bytes() {
        given_ada()
            .when::<Backup>("b-1", [backup_created(), backup_started("ada")])
            .then("ada", &ada())
            .at(at(2))
            .when::<Backup>("b-1", [backup_completed("ada", 5_000, BackupStatus::Running)])
            .when::<Backup>("b-2", [backup_created(), backup_failed(None)])
            .then("ada", &TenantTotal { backups: 1, backup_bytes: 5_000, updated_at: at(2).into(), ..ada() })
            .at(at(3))
            .when::<Backup>("b-3", [backup_created(), backup_started("ada"), backup_failed(Some("ada"))])
            .when::<Backup>("b-3", [backup_completed("ada", 20, BackupStatus::Failed)])
            .then("ada", &TenantTotal { backups: 2, backup_bytes: 5_020, updated_at: at(3).into(), ..ada() });
    }

    #[test]
    fn a_tenant_that_was_not_created_has_totals_too() {
        let nameless = TenantTotal::at(at(1).into(), None, &tenant("eve"));
        Given::<Tenants>::nothing()
            .at(at(1))
            .when::<Site>("s-1", [site_created("eve")])
            .then("eve", &TenantTotal { sites: 1, ..nameless.clone() })
            .at(at(2))
            .when::<Tenant>("eve", [tenant_created()])
            .then(
                "eve",
                &TenantTotal {
                    name: Some(text("Ada's Teas")),
                    sites: 1,
                    created_at: Some(at(2).into()),
                    updated_at: at(2).into(),
                    ..nameless
                },
            );
    }

    #[test]
    fn what_a_listener_counts_is_not_counted_again() {
        given_ada().at(at(2)).when::<Tenant>("ada", [site_counted()]).then("ada", &ada());
    }

    #[test]
    fn each_tenant_has_a_document() {
        given_ada().when::<Site>("s-1", [site_created("eve")]).then_keys(&["ada", "eve"]).then("ada", &ada());
    }
}
