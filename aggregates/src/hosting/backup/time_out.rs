//! `TimeOutBackup`: no result of the backup arrived in time.

use dormouse_kernel::Context;

use super::{Backup, BackupEvent, BackupRejection, BackupStatus};
use crate::hosting::{Text, limits};

impl Backup {
    /// A job can be lost without a result: its process is killed, or an operator skips it. A result that arrives later
    /// is still accepted: see [`BackupCommand::RecordCompleted`](super::BackupCommand::RecordCompleted).
    pub(super) fn time_out(&self, context: &mut Context<Self>) -> Result<BackupStatus, BackupRejection> {
        let was = self.created()?;
        if was.status != BackupStatus::Running {
            return Ok(was.status);
        }
        let minutes = limits::BACKUP_LIMIT.as_secs() / 60;
        let reason = Text::repaired(&format!("no result arrived within {minutes} minutes"));
        context.emit(BackupEvent::BackupFailed { reason, was });
        Ok(BackupStatus::Failed)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::hosting::BackupCommand::TimeOutBackup;
    use crate::hosting::backup::stories::{broken, completed, created, failed, running};

    #[test]
    fn a_backup_without_a_result_fails() {
        Given::<Backup>::events(running())
            .when(TimeOutBackup)
            .then([failed("no result arrived within 60 minutes", BackupStatus::Running)]);
    }

    #[test]
    fn a_backup_that_is_not_being_made_cannot_be_late() {
        for past in [created(), completed(), broken()] {
            Given::<Backup>::events(past).when(TimeOutBackup).then([]);
        }
        Given::<Backup>::nothing().when(TimeOutBackup).then_rejected("no-such-backup");
    }
}
