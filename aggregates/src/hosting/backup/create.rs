//! `CreateBackup`: creates a backup once, and asks the site what there is to copy.

use dormouse_kernel::Context;

use super::{Backup, BackupCommand, BackupEvent, BackupRejection, BackupStatus};
use crate::hosting::{BackupId, Site, SiteCommand, SiteId};

impl Backup {
    pub(super) fn create(&self, site: SiteId, context: &mut Context<Self>) -> Result<BackupStatus, BackupRejection> {
        if self.status.is_some() {
            return Err(BackupRejection::AlreadyCreated);
        }
        let backup = BackupId::from(context.id());
        context
            .send::<Site>(site.as_str(), SiteCommand::DescribeToBackup { backup })
            .on_refused(BackupCommand::RecordSiteRefused);
        context.emit(BackupEvent::BackupCreated { site });
        Ok(BackupStatus::Created)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::hosting::BackupCommand::CreateBackup;
    use crate::hosting::BackupReply;
    use crate::hosting::backup::stories::{broken, completed, created, refused, running, site};

    #[test]
    fn a_new_backup_asks_the_site() {
        let backup = BackupId::new("test").unwrap();
        let question = Message::to::<Site>("s-1", SiteCommand::DescribeToBackup { backup })
            .on_refused::<Backup>("test", BackupCommand::RecordSiteRefused);
        Given::<Backup>::nothing()
            .when(CreateBackup { site: site() })
            .then(created())
            .then_sent([question])
            .then_scheduled([])
            .and_replies(&BackupReply { status: BackupStatus::Created });
    }

    #[test]
    fn a_backup_is_created_once_whatever_its_status_is() {
        for past in [created(), refused(), running(), completed(), broken()] {
            Given::<Backup>::events(past).when(CreateBackup { site: site() }).then_rejected("backup-already-created");
        }
    }
}
