//! `RecordSite`: the site has told what there is to copy, and the job begins.

use dormouse_kernel::{After, Context};

use super::{BACKUP_TIMER, Backup, BackupCommand, BackupEvent, BackupRejection, BackupStatus};
use crate::hosting::{Domain, SiteType, TenantId, limits};

impl Backup {
    /// A backup that does not wait for the answer any more changes nothing.
    pub(super) fn record_site(
        &self,
        tenant: TenantId,
        domain: Domain,
        site_type: SiteType,
        context: &mut Context<Self>,
    ) -> Result<BackupStatus, BackupRejection> {
        let was = self.created()?;
        if was.status != BackupStatus::Created {
            return Ok(was.status);
        }
        context.emit(BackupEvent::BackupStarted { site: was.site, tenant, domain, site_type });
        context.schedule(BACKUP_TIMER, After(limits::BACKUP_LIMIT), BackupCommand::TimeOutBackup);
        Ok(BackupStatus::Running)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dormouse_kernel::{ExpectedTimer, Given};

    use super::*;
    use crate::hosting::BackupReply;
    use crate::hosting::backup::stories::{broken, completed, created, record_site, refused, running};

    #[test]
    fn a_backup_of_a_known_site_is_made_within_an_hour() {
        let limit = After(Duration::from_secs(3_600));
        Given::<Backup>::events(created())
            .when(record_site())
            .then(running().split_off(1))
            .then_scheduled([ExpectedTimer::set("backup-limit", limit, BackupCommand::TimeOutBackup)])
            .and_replies(&BackupReply { status: BackupStatus::Running });
    }

    #[test]
    fn a_late_answer_changes_nothing() {
        for past in [refused(), running(), completed(), broken()] {
            Given::<Backup>::events(past).when(record_site()).then([]).then_scheduled([]);
        }
        Given::<Backup>::nothing().when(record_site()).then_rejected("no-such-backup");
    }
}
