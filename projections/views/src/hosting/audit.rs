//! The audit log: who did what, and when.

use dormouse_aggregates::hosting::{Backup, BackupEvent, Site, SiteEvent, Tenant, TenantId};
use dormouse_kernel::{Aggregate, AggregateId, AggregateType, variant_name};
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Moment;

/// The view `hosting-audit`: one document for each event of a tenant, a site or a backup. The key is the type of the
/// aggregate, its id, and its version after the event: `site/s-1/3`.
#[derive(Clone, Copy, Debug)]
pub struct HostingAudit;

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// The type of the aggregate.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    pub aggregate_type: AggregateType,
    /// The id of the aggregate.
    #[schemars(with = "String")]
    pub id: AggregateId,
    /// The version of the aggregate after the event.
    pub version: u64,
    /// The name of the event.
    pub event: String,
    /// When the event happened.
    pub at: Moment,
    /// The user on whose behalf the command was sent. Null if the server does not know.
    pub subject: Option<String>,
    /// The tenant whom the event concerns. Null if the event does not say.
    pub tenant: Option<TenantId>,
}

impl Projection for HostingAudit {
    const NAME: &'static str = "hosting-audit";
    type Document = AuditEntry;

    fn fields() -> Fields {
        Fields::none().text("type").text("id").text("event").text("at").text("subject").text("tenant")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Tenant>().of::<Site>().of::<Backup>()
    }
}

impl Project<Tenant> for HostingAudit {
    fn keys(event: &Event<'_, Tenant>) -> Keys {
        key(event)
    }

    fn project(_: Option<AuditEntry>, event: &Event<'_, Tenant>, _: &Key) -> Option<AuditEntry> {
        Some(entry(event, Some(TenantId::from(event.id()))))
    }
}

impl Project<Site> for HostingAudit {
    fn keys(event: &Event<'_, Site>) -> Keys {
        key(event)
    }

    fn project(_: Option<AuditEntry>, event: &Event<'_, Site>, _: &Key) -> Option<AuditEntry> {
        let tenant = match event.body() {
            SiteEvent::SiteCreated { tenant, .. } => tenant,
            SiteEvent::SiteDomainReserved { was }
            | SiteEvent::SiteProvisioned { was, .. }
            | SiteEvent::SiteProvisioningFailed { was, .. }
            | SiteEvent::SiteDeleted { was } => &was.tenant,
        };
        Some(entry(event, Some(tenant.clone())))
    }
}

impl Project<Backup> for HostingAudit {
    fn keys(event: &Event<'_, Backup>) -> Keys {
        key(event)
    }

    fn project(_: Option<AuditEntry>, event: &Event<'_, Backup>, _: &Key) -> Option<AuditEntry> {
        let tenant = match event.body() {
            BackupEvent::BackupCreated { .. } => None,
            BackupEvent::BackupStarted { tenant, .. } => Some(tenant),
            BackupEvent::BackupCompleted { was, .. } | BackupEvent::BackupFailed { was, .. } => was.tenant.as_ref(),
        };
        Some(entry(event, tenant.cloned()))
    }
}

/// An id has no slash, so two events never have the same key.
fn key<A: Aggregate>(event: &Event<'_, A>) -> Keys {
    Keys::one(format!("{}/{}", event.aggregate(), event.version()))
}

fn entry<A: Aggregate>(event: &Event<'_, A>, tenant: Option<TenantId>) -> AuditEntry {
    AuditEntry {
        aggregate_type: event.aggregate().aggregate_type.clone(),
        id: event.id().clone(),
        version: event.version().0,
        event: variant_name(event.body()).unwrap_or_default().to_owned(),
        at: event.recorded_at().into(),
        subject: event.metadata().subject.clone(),
        tenant,
    }
}

#[cfg(test)]
mod tests {
    use dormouse_aggregates::hosting::{BackupStatus, SiteStatus};
    use dormouse_projections::Given;

    use super::*;
    use crate::hosting::stories::{
        at, backup_completed, backup_created, backup_failed, backup_started, deleted, provisioned, provisioning_failed,
        reserved, site_counted, site_created, tenant, tenant_created,
    };

    fn entry_of(aggregate_type: &str, id: &str, version: u64, event: &str, tenant_id: Option<&str>) -> AuditEntry {
        AuditEntry {
            aggregate_type: AggregateType::new(aggregate_type).unwrap(),
            id: AggregateId::new(id).unwrap(),
            version,
            event: event.to_owned(),
            at: at(1).into(),
            subject: None,
            tenant: tenant_id.map(tenant),
        }
    }

    #[test]
    fn an_entry_says_who_did_what_and_when() {
        let by_ada = |version, event| AuditEntry {
            subject: Some("ada@example.org".to_owned()),
            at: at(2).into(),
            ..entry_of("site", "s-1", version, event, Some("ada"))
        };
        Given::<HostingAudit>::nothing()
            .at(at(1))
            .when::<Tenant>("ada", [tenant_created(), site_counted()])
            .at(at(2))
            .by("ada@example.org")
            .when::<Site>("s-1", [site_created("ada"), deleted("ada", SiteStatus::Created)])
            .then_keys(&["site/s-1/1", "site/s-1/2", "tenant/ada/1", "tenant/ada/2"])
            .then("tenant/ada/1", &entry_of("tenant", "ada", 1, "TenantCreated", Some("ada")))
            .then("tenant/ada/2", &entry_of("tenant", "ada", 2, "SiteCounted", Some("ada")))
            .then("site/s-1/1", &by_ada(1, "SiteCreated"))
            .then("site/s-1/2", &by_ada(2, "SiteDeleted"));
    }

    #[test]
    fn every_event_of_a_site_has_its_tenant() {
        let events = [reserved("ada"), provisioning_failed("ada"), provisioned("ada", SiteStatus::Failed)];
        let given = Given::<HostingAudit>::nothing().at(at(1)).when::<Site>("s-1", events);
        given
            .then("site/s-1/1", &entry_of("site", "s-1", 1, "SiteDomainReserved", Some("ada")))
            .then("site/s-1/2", &entry_of("site", "s-1", 2, "SiteProvisioningFailed", Some("ada")))
            .then("site/s-1/3", &entry_of("site", "s-1", 3, "SiteProvisioned", Some("ada")));
    }

    #[test]
    fn a_backup_has_its_tenant_once_the_site_has_told_it() {
        let events = [
            backup_created(),
            backup_started("ada"),
            backup_failed(Some("ada")),
            backup_completed("ada", 5_000, BackupStatus::Failed),
        ];
        Given::<HostingAudit>::nothing()
            .at(at(1))
            .when::<Backup>("b-1", events)
            .when::<Backup>("b-2", [backup_failed(None)])
            .then("backup/b-1/1", &entry_of("backup", "b-1", 1, "BackupCreated", None))
            .then("backup/b-1/2", &entry_of("backup", "b-1", 2, "BackupStarted", Some("ada")))
            .then("backup/b-1/3", &entry_of("backup", "b-1", 3, "BackupFailed", Some("ada")))
            .then("backup/b-1/4", &entry_of("backup", "b-1", 4, "BackupCompleted", Some("ada")))
            .then("backup/b-2/1", &entry_of("backup", "b-2", 1, "BackupFailed", None));
    }
}
