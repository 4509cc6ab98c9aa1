//! The present state of each site.

use std::borrow::Cow;

use dormouse_aggregates::hosting::{Domain, Milliseconds, Site, SiteEvent, SiteStatus, SiteType, TenantId, Text};
use dormouse_kernel::AggregateId;
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Moment;

/// The view `sites`: one document for each site, also for deleted ones. The key is the site's id.
#[derive(Clone, Copy, Debug)]
pub struct Sites;

/// The present state of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostedSite {
    /// The site's id.
    #[schemars(with = "String")]
    pub site: AggregateId,
    /// The tenant who owns the site.
    pub tenant: TenantId,
    /// The status.
    pub status: SiteStatus,
    /// The domain, in its ASCII form.
    pub domain: Domain,
    /// What is installed on the site.
    pub site_type: SiteType,
    /// Why the provisioning failed, if it did and no later result arrived.
    pub failed_because: Option<Text>,
    /// How long the provisioning took, once the site is provisioned.
    pub provisioning_ms: Option<Milliseconds>,
    /// When the site was created.
    pub created_at: Moment,
    /// When the site was provisioned, if it was.
    pub provisioned_at: Option<Moment>,
    /// When the site was deleted, if it was.
    pub deleted_at: Option<Moment>,
    /// The time of the site's last event.
    pub updated_at: Moment,
}

impl Projection for Sites {
    const NAME: &'static str = "sites";
    type Document = HostedSite;

    fn fields() -> Fields {
        Fields::none()
            .text("tenant")
            .text("status")
            .text("domain")
            .text("site_type")
            .text("created_at")
            .text("updated_at")
    }

    fn owner_field() -> Option<&'static str> {
        Some("tenant")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Site>()
    }

    fn query_one() -> Cow<'static, str> {
        "GetSite".into()
    }
}

impl Project<Site> for Sites {
    fn keys(event: &Event<'_, Site>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<HostedSite>, event: &Event<'_, Site>, _: &Key) -> Option<HostedSite> {
        let now = Moment::from(event.recorded_at());
        let mut site = match (current, event.body()) {
            (Some(site), _) => site,
            (None, SiteEvent::SiteCreated { domain, site_type, tenant }) => HostedSite {
                site: event.id().clone(),
                tenant: tenant.clone(),
                status: SiteStatus::Created,
                domain: domain.clone(),
                site_type: *site_type,
                failed_because: None,
                provisioning_ms: None,
                created_at: now,
                provisioned_at: None,
                deleted_at: None,
                updated_at: now,
            },
            // Each site begins with `SiteCreated`. If there is no document, this build does not contain that event.
            (None, _) => return None,
        };
        match event.body() {
            SiteEvent::SiteCreated { .. } => {}
            SiteEvent::SiteDomainReserved { .. } => site.status = SiteStatus::Provisioning,
            SiteEvent::SiteProvisioned { duration_ms, .. } => {
                site.status = SiteStatus::Provisioned;
                site.failed_because = None;
                site.provisioning_ms = Some(*duration_ms);
                site.provisioned_at = Some(now);
            }
            SiteEvent::SiteProvisioningFailed { reason, .. } => {
                site.status = SiteStatus::Failed;
                site.failed_because = Some(reason.clone());
            }
            SiteEvent::SiteDeleted { .. } => {
                site.status = SiteStatus::Deleted;
                site.deleted_at = Some(now);
            }
        }
        site.updated_at = now;
        Some(site)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_projections::Given;

    use super::*;
    use crate::hosting::stories::{
        at, deleted, domain, milliseconds, provisioned, provisioning_failed, reserved, site_created, tenant, text,
    };

    /// Ada's site after its creation.
    fn new_site() -> HostedSite {
        HostedSite {
            site: AggregateId::new("s-1").unwrap(),
            tenant: tenant("ada"),
            status: SiteStatus::Created,
            domain: domain(),
            site_type: SiteType::Wordpress,
            failed_because: None,
            provisioning_ms: None,
            created_at: at(1).into(),
            provisioned_at: None,
            deleted_at: None,
            updated_at: at(1).into(),
        }
    }

    fn given_site() -> Given<Sites> {
        Given::nothing().at(at(1)).when::<Site>("s-1", [site_created("ada")]).then("s-1", &new_site())
    }

    #[test]
    fn a_site_is_created_and_provisioned() {
        let provisioning = HostedSite { status: SiteStatus::Provisioning, updated_at: at(2).into(), ..new_site() };
        let done = HostedSite {
            status: SiteStatus::Provisioned,
            provisioning_ms: Some(milliseconds(1_200)),
            provisioned_at: Some(at(3).into()),
            updated_at: at(3).into(),
            ..new_site()
        };
        given_site()
            .at(at(2))
            .when::<Site>("s-1", [reserved("ada")])
            .then("s-1", &provisioning)
            .at(at(3))
            .when::<Site>("s-1", [provisioned("ada", SiteStatus::Provisioning)])
            .then("s-1", &done);
    }

    #[test]
    fn a_failed_site_has_the_reason_until_it_is_provisioned_after_all() {
        let failed = HostedSite {
            status: SiteStatus::Failed,
            failed_because: Some(text("the disk is full")),
            updated_at: at(2).into(),
            ..new_site()
        };
        let done = HostedSite {
            status: SiteStatus::Provisioned,
            provisioning_ms: Some(milliseconds(1_200)),
            provisioned_at: Some(at(3).into()),
            updated_at: at(3).into(),
            ..new_site()
        };
        given_site()
            .at(at(2))
            .when::<Site>("s-1", [reserved("ada"), provisioning_failed("ada")])
            .then("s-1", &failed)
            .at(at(3))
            .when::<Site>("s-1", [provisioned("ada", SiteStatus::Failed)])
            .then("s-1", &done);
    }

    #[test]
    fn a_deleted_site_stays_in_the_view() {
        let gone = HostedSite {
            status: SiteStatus::Deleted,
            deleted_at: Some(at(2).into()),
            updated_at: at(2).into(),
            ..new_site()
        };
        given_site()
            .at(at(2))
            .when::<Site>("s-1", [deleted("ada", SiteStatus::Created)])
            .then("s-1", &gone)
            .then_keys(&["s-1"]);
    }

    #[test]
    fn a_site_without_its_creation_is_not_in_the_view() {
        Given::<Sites>::nothing().when::<Site>("s-1", [reserved("ada")]).then_gone("s-1");
    }
}
