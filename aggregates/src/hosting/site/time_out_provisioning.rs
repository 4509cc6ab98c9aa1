//! `TimeOutProvisioning`: no result of the provisioning arrived in time.

use dormouse_kernel::Context;

use super::{Site, SiteEvent, SiteRejection, SiteStatus};
use crate::hosting::{Text, limits};

impl Site {
    /// A job can be lost without a result: its process is killed, or an operator skips it. A result that arrives later
    /// is still accepted: see [`SiteCommand::RecordProvisioned`](super::SiteCommand::RecordProvisioned).
    pub(super) fn time_out_provisioning(&self, context: &mut Context<Self>) -> Result<SiteStatus, SiteRejection> {
        let was = self.created()?;
        if was.status != SiteStatus::Provisioning {
            return Ok(was.status);
        }
        let minutes = limits::PROVISIONING_LIMIT.as_secs() / 60;
        let reason = Text::repaired(&format!("no result arrived within {minutes} minutes"));
        context.emit(SiteEvent::SiteProvisioningFailed { reason, was });
        Ok(SiteStatus::Failed)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::hosting::SiteCommand::TimeOutProvisioning;
    use crate::hosting::site::stories::{broken, created, deleted, failed, provisioned, provisioning};

    #[test]
    fn a_provisioning_without_a_result_fails() {
        let after = Given::<Site>::events(provisioning())
            .when(TimeOutProvisioning)
            .then([failed("no result arrived within 15 minutes", SiteStatus::Provisioning)]);
        assert!(after.state().has_domain);
    }

    #[test]
    fn a_site_that_is_not_being_provisioned_cannot_be_late() {
        for past in [created(), provisioned(), broken(), deleted()] {
            Given::<Site>::events(past).when(TimeOutProvisioning).then([]);
        }
        Given::<Site>::nothing().when(TimeOutProvisioning).then_rejected("no-such-site");
    }
}
