//! `RecordSiteRefused`: there is nothing to copy, so the backup fails.

use dormouse_kernel::Context;

use super::{Backup, BackupEvent, BackupRejection, BackupStatus};
use crate::hosting::Text;

impl Backup {
    /// The refusal of the site is the reason of the failure. A backup that does not wait for the answer any more changes
    /// nothing.
    pub(super) fn record_site_refused(&self, context: &mut Context<Self>) -> Result<BackupStatus, BackupRejection> {
        let was = self.created()?;
        if was.status != BackupStatus::Created {
            return Ok(was.status);
        }
        let detail = context.refusal().map_or("the site refused the backup", |refusal| refusal.detail.as_str());
        let reason = Text::repaired(detail);
        context.emit(BackupEvent::BackupFailed { reason, was });
        Ok(BackupStatus::Failed)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::hosting::BackupCommand::RecordSiteRefused;
    use crate::hosting::BackupReply;
    use crate::hosting::backup::stories::{broken, completed, created, refused, running, text, was_asking};

    #[test]
    fn a_backup_of_nothing_fails_for_the_reason_of_the_site() {
        Given::<Backup>::events(created())
            .after_refusal("no-such-site")
            .when(RecordSiteRefused)
            .then([BackupEvent::BackupFailed { reason: text("no-such-site"), was: was_asking() }])
            .and_replies(&BackupReply { status: BackupStatus::Failed });
        Given::<Backup>::events(created())
            .when(RecordSiteRefused)
            .then([BackupEvent::BackupFailed { reason: text("the site refused the backup"), was: was_asking() }]);
    }

    #[test]
    fn a_late_refusal_changes_nothing() {
        for past in [refused(), running(), completed(), broken()] {
            Given::<Backup>::events(past).after_refusal("no-such-site").when(RecordSiteRefused).then([]);
        }
        Given::<Backup>::nothing().when(RecordSiteRefused).then_rejected("no-such-backup");
    }
}
