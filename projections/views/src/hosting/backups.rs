//! The present state of each backup.

use std::borrow::Cow;

use dormouse_aggregates::hosting::{
    Backup, BackupEvent, BackupStatus, ByteSize, Domain, Milliseconds, SiteId, TenantId, Text,
};
use dormouse_kernel::AggregateId;
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Moment;

/// The view `backups`: one document for each backup. The key is the backup's id.
#[derive(Clone, Copy, Debug)]
pub struct Backups;

/// The present state of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteBackup {
    /// The backup's id.
    #[schemars(with = "String")]
    pub backup: AggregateId,
    /// The site.
    pub site: SiteId,
    /// The tenant who owns the site, after the site has answered.
    pub tenant: Option<TenantId>,
    /// The domain of the site, after the site has answered.
    pub domain: Option<Domain>,
    /// The status.
    pub status: BackupStatus,
    /// The size of the backup, once it is completed.
    pub size_bytes: Option<ByteSize>,
    /// How long the job took, once the backup is completed.
    pub duration_ms: Option<Milliseconds>,
    /// Why the backup failed, if it did and no later result arrived.
    pub failed_because: Option<Text>,
    /// When the backup was created.
    pub created_at: Moment,
    /// The time of the backup's last event.
    pub updated_at: Moment,
}

impl Projection for Backups {
    const NAME: &'static str = "backups";
    type Document = SiteBackup;

    fn fields() -> Fields {
        Fields::none()
            .text("site")
            .text("tenant")
            .text("status")
            .integer("size_bytes")
            .integer("duration_ms")
            .text("created_at")
            .text("updated_at")
    }

    fn owner_field() -> Option<&'static str> {
        Some("tenant")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Backup>()
    }

    fn query_one() -> Cow<'static, str> {
        "GetBackup".into()
    }
}

impl Project<Backup> for Backups {
    fn keys(event: &Event<'_, Backup>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<SiteBackup>, event: &Event<'_, Backup>, _: &Key) -> Option<SiteBackup> {
        let now = Moment::from(event.recorded_at());
        let mut backup = match (current, event.body()) {
            (Some(backup), _) => backup,
            (None, BackupEvent::BackupCreated { site }) => SiteBackup {
                backup: event.id().clone(),
                site: site.clone(),
                tenant: None,
                domain: None,
                status: BackupStatus::Created,
                size_bytes: None,
                duration_ms: None,
                failed_because: None,
                created_at: now,
                updated_at: now,
            },
            // Each backup begins with `BackupCreated`. If there is no document, this build does not contain that event.
            (None, _) => return None,
        };
        match event.body() {
            BackupEvent::BackupCreated { .. } => {}
            BackupEvent::BackupStarted { tenant, domain, .. } => {
                backup.status = BackupStatus::Running;
                backup.tenant = Some(tenant.clone());
                backup.domain = Some(domain.clone());
            }
            BackupEvent::BackupCompleted { size_bytes, duration_ms, .. } => {
                backup.status = BackupStatus::Completed;
                backup.size_bytes = Some(*size_bytes);
                backup.duration_ms = Some(*duration_ms);
                backup.failed_because = None;
            }
            BackupEvent::BackupFailed { reason, .. } => {
                backup.status = BackupStatus::Failed;
                backup.failed_because = Some(reason.clone());
            }
        }
        backup.updated_at = now;
        Some(backup)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_projections::Given;

    use super::*;
    use crate::hosting::stories::{
        at, backup_completed, backup_created, backup_failed, backup_started, domain, milliseconds, site, size, tenant,
        text,
    };

    /// A backup of Ada's site after its creation.
    fn new_backup() -> SiteBackup {
        SiteBackup {
            backup: AggregateId::new("b-1").unwrap(),
            site: site(),
            tenant: None,
            domain: None,
            status: BackupStatus::Created,
            size_bytes: None,
            duration_ms: None,
            failed_because: None,
            created_at: at(1).into(),
            updated_at: at(1).into(),
        }
    }

    fn running() -> SiteBackup {
        SiteBackup {
            tenant: Some(tenant("ada")),
            domain: Some(domain()),
            status: BackupStatus::Running,
            updated_at: at(2).into(),
            ..new_backup()
        }
    }

    fn completed() -> SiteBackup {
        SiteBackup {
            status: BackupStatus::Completed,
            size_bytes: Some(size(5_000)),
            duration_ms: Some(milliseconds(300)),
            updated_at: at(3).into(),
            ..running()
        }
    }

    fn given_backup() -> Given<Backups> {
        Given::nothing().at(at(1)).when::<Backup>("b-1", [backup_created()]).then("b-1", &new_backup())
    }

    #[test]
    fn a_backup_is_started_and_completed() {
        given_backup()
            .at(at(2))
            .when::<Backup>("b-1", [backup_started("ada")])
            .then("b-1", &running())
            .at(at(3))
            .when::<Backup>("b-1", [backup_completed("ada", 5_000, BackupStatus::Running)])
            .then("b-1", &completed());
    }

    #[test]
    fn a_failed_backup_has_the_reason_until_it_is_completed_after_all() {
        let failed =
            SiteBackup { status: BackupStatus::Failed, failed_because: Some(text("the disk is full")), ..running() };
        given_backup()
            .at(at(2))
            .when::<Backup>("b-1", [backup_started("ada"), backup_failed(Some("ada"))])
            .then("b-1", &failed)
            .at(at(3))
            .when::<Backup>("b-1", [backup_completed("ada", 5_000, BackupStatus::Failed)])
            .then("b-1", &completed());
    }

    #[test]
    fn a_backup_of_nothing_has_no_tenant() {
        let failed = SiteBackup {
            status: BackupStatus::Failed,
            failed_because: Some(text("the disk is full")),
            updated_at: at(2).into(),
            ..new_backup()
        };
        given_backup().at(at(2)).when::<Backup>("b-1", [backup_failed(None)]).then("b-1", &failed);
    }

    #[test]
    fn a_backup_without_its_creation_is_not_in_the_view() {
        Given::<Backups>::nothing().when::<Backup>("b-1", [backup_started("ada")]).then_gone("b-1");
    }
}
