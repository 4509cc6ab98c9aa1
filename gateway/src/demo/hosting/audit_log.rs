//! `audit-log`: a line in the log for each event, for collectors of logs.
//!
//! The record that can be asked is the view `hosting-audit`, which follows from the events. This listener passes the
//! events on to where the other logs of an installation are.

use std::time::Duration;

use dormouse_aggregates::hosting::{Backup, Site, Tenant};
use dormouse_kernel::{Aggregate, variant_name};
use tracing::info;

use crate::{Begin, Event, Failure, Handle, Handler, HandlerSources, Job, Retries};

/// Writes each event of a tenant, a site or a backup to the log.
#[derive(Clone, Copy)]
pub(super) struct AuditLog;

impl Handler for AuditLog {
    const NAME: &'static str = "audit-log";
    const BEGIN: Begin = Begin::Now;

    fn retries() -> Option<Retries> {
        Some(Retries { tries: 3, pause: Duration::from_secs(60) })
    }

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Tenant>().of::<Site>().of::<Backup>()
    }
}

impl<A: Aggregate> Handle<A> for AuditLog {
    async fn handle(&self, event: &Event<'_, A>, job: &Job) -> Result<(), Failure> {
        let subject = event.metadata().subject.as_deref();
        info!(
            target: "audit",
            key = job.key(),
            aggregate = A::TYPE,
            id = %event.id(),
            version = event.version().0,
            event = variant_name(event.body()).unwrap_or_default(),
            at = %event.recorded_at(),
            subject,
            "recorded"
        );
        Ok(())
    }
}
