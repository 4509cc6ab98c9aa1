//! `DescribeToBackup`: tells a backup what it copies.

use dormouse_kernel::Context;

use super::{Site, SiteRejection, SiteStatus};
use crate::hosting::{Backup, BackupCommand, BackupId};

impl Site {
    /// Only a provisioned site has something to copy.
    pub(super) fn describe_to_backup(
        &self,
        backup: &BackupId,
        context: &mut Context<Self>,
    ) -> Result<SiteStatus, SiteRejection> {
        let site = self.existing()?;
        if site.status != SiteStatus::Provisioned {
            return Err(SiteRejection::NotProvisioned { status: site.status });
        }
        let answer = BackupCommand::RecordSite { tenant: site.tenant, domain: site.domain, site_type: site.site_type };
        context.send::<Backup>(backup.as_str(), answer);
        Ok(site.status)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::hosting::SiteCommand::DescribeToBackup;
    use crate::hosting::SiteType;
    use crate::hosting::site::stories::{broken, created, deleted, domain, provisioned, provisioning, tenant};

    fn backup() -> BackupId {
        BackupId::new("b-1").unwrap()
    }

    #[test]
    fn a_provisioned_site_describes_itself() {
        let answer = BackupCommand::RecordSite { tenant: tenant(), domain: domain(), site_type: SiteType::Wordpress };
        Given::<Site>::events(provisioned())
            .when(DescribeToBackup { backup: backup() })
            .then([])
            .then_sent([Message::to::<Backup>("b-1", answer)]);
    }

    #[test]
    fn a_site_without_contents_refuses() {
        for past in [created(), provisioning(), broken()] {
            let given = Given::<Site>::events(past);
            given.when(DescribeToBackup { backup: backup() }).then_rejected("site-not-provisioned");
        }
        let given = Given::<Site>::events(deleted());
        given.when(DescribeToBackup { backup: backup() }).then_rejected("site-deleted");
        Given::<Site>::nothing().when(DescribeToBackup { backup: backup() }).then_rejected("no-such-site");
    }
}
