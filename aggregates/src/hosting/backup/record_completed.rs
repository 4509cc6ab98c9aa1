//! `RecordCompleted`: a job has made the backup.

use dormouse_kernel::Context;

use super::{BACKUP_TIMER, Backup, BackupEvent, BackupRejection, BackupStatus};
use crate::hosting::{ByteSize, Milliseconds};

impl Backup {
    /// A job that ends after the time limit, or succeeds at a later try, has made the backup after all, so the backup
    /// becomes completed. A repeated result changes nothing.
    pub(super) fn record_completed(
        &self,
        size_bytes: ByteSize,
        duration_ms: Milliseconds,
        context: &mut Context<Self>,
    ) -> Result<BackupStatus, BackupRejection> {
        let was = self.created()?;
        if !self.has_started() {
            return Err(BackupRejection::NotStarted);
        }
        if was.status == BackupStatus::Completed {
            return Ok(was.status);
        }
        if was.status == BackupStatus::Running {
            context.cancel(BACKUP_TIMER);
        }
        context.emit(BackupEvent::BackupCompleted { size_bytes, duration_ms, was });
        Ok(BackupStatus::Completed)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{ExpectedTimer, Given};

    use super::*;
    use crate::hosting::BackupReply;
    use crate::hosting::backup::stories::{broken, completed, created, done, record_completed, refused, running};

    #[test]
    fn a_completed_backup_has_a_size_and_a_duration() {
        let after = Given::<Backup>::events(running())
            .when(record_completed())
            .then([done(BackupStatus::Running)])
            .then_scheduled([ExpectedTimer::cancelled("backup-limit")])
            .and_replies(&BackupReply { status: BackupStatus::Completed });
        assert_eq!(after.state().size_bytes.map(ByteSize::get), Some(5_000));
        assert_eq!(after.state().duration_ms.map(Milliseconds::get), Some(300));
    }

    #[test]
    fn a_late_success_ends_a_failure() {
        let after = Given::<Backup>::events(broken())
            .when(record_completed())
            .then([done(BackupStatus::Failed)])
            .then_scheduled([]);
        assert_eq!(after.state().failed_because, None);
    }

    #[test]
    fn a_repeated_result_changes_nothing() {
        Given::<Backup>::events(completed()).when(record_completed()).then([]).then_scheduled([]);
    }

    #[test]
    fn a_result_without_a_job_is_refused() {
        for past in [created(), refused()] {
            Given::<Backup>::events(past).when(record_completed()).then_rejected("backup-not-started");
        }
        Given::<Backup>::nothing().when(record_completed()).then_rejected("no-such-backup");
    }
}
