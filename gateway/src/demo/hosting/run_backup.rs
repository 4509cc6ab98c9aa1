//! `run-backup`: makes a backup that has been started.

use dormouse_aggregates::hosting::{Backup, BackupCommand, BackupEvent, BackupId, ByteSize, Text};
use tokio::time::Instant;
use tracing::warn;

use super::outside::{Outside, elapsed};
use super::ports::{PortError, SiteOrder};
use crate::{Event, Failure, Handle, Handler, HandlerSources, Job, Sent};

/// Makes a backup, and tells the backup whether it succeeded. A failure is told after the last attempt.
pub(super) struct RunBackup(pub(super) Outside);

impl Handler for RunBackup {
    const NAME: &'static str = "run-backup";

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Backup>()
    }
}

impl Handle<Backup> for RunBackup {
    async fn handle(&self, event: &Event<'_, Backup>, job: &Job) -> Result<(), Failure> {
        let BackupEvent::BackupStarted { site, tenant, domain, site_type } = event.body() else { return Ok(()) };
        let (site, tenant, domain) = (site.clone(), tenant.clone(), domain.clone());
        let order = SiteOrder { site, tenant, domain, site_type: *site_type };
        let (backup, start) = (BackupId::from(event.id()), Instant::now());
        let made = self.0.back_up(&backup, &order, job).await;
        let made = made.and_then(|bytes| ByteSize::new(bytes).map_err(|error| PortError(error.to_string())));
        let result = match made {
            Ok(size_bytes) => BackupCommand::RecordCompleted { size_bytes, duration_ms: elapsed(start) },
            Err(error) if !self.0.is_last(job) => return Err(error.into()),
            Err(error) => BackupCommand::RecordFailed { reason: Text::repaired(&error.to_string()) },
        };
        if let Sent::Refused(refusal) = job.send::<Backup>(event.id().as_str(), result).await? {
            warn!(backup = %event.id(), code = refusal.code, "a backup refused its result");
        }
        Ok(())
    }
}
