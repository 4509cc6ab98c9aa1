//! `RecordFailed`: a job could not make the backup.

use dormouse_kernel::Context;

use super::{BACKUP_TIMER, Backup, BackupEvent, BackupRejection, BackupStatus};
use crate::hosting::Text;

impl Backup {
    /// The first failure counts, and none counts after a success.
    pub(super) fn record_failed(
        &self,
        reason: Text,
        context: &mut Context<Self>,
    ) -> Result<BackupStatus, BackupRejection> {
        let was = self.created()?;
        match was.status {
            BackupStatus::Created => Err(BackupRejection::NotStarted),
            BackupStatus::Running => {
                context.cancel(BACKUP_TIMER);
                context.emit(BackupEvent::BackupFailed { reason, was });
                Ok(BackupStatus::Failed)
            }
            BackupStatus::Completed | BackupStatus::Failed => Ok(was.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{ExpectedTimer, Given};

    use super::*;
    use crate::hosting::BackupReply;
    use crate::hosting::backup::stories::{broken, completed, created, failed, record_failed, refused, running};

    #[test]
    fn a_failed_backup_says_why() {
        Given::<Backup>::events(running())
            .when(record_failed())
            .then([failed("the disk is full", BackupStatus::Running)])
            .then_scheduled([ExpectedTimer::cancelled("backup-limit")])
            .and_replies(&BackupReply { status: BackupStatus::Failed });
    }

    #[test]
    fn a_failure_after_another_result_changes_nothing() {
        for past in [completed(), broken(), refused()] {
            Given::<Backup>::events(past).when(record_failed()).then([]).then_scheduled([]);
        }
    }

    #[test]
    fn a_result_without_a_job_is_refused() {
        Given::<Backup>::events(created()).when(record_failed()).then_rejected("backup-not-started");
        Given::<Backup>::nothing().when(record_failed()).then_rejected("no-such-backup");
    }
}
