//! `CountSite`: counts a site that was created.

use dormouse_kernel::Context;

use super::{Tenant, TenantEvent, TenantRejection};
use crate::hosting::SiteId;

impl Tenant {
    pub(super) fn count_site(&self, site: SiteId, context: &mut Context<Self>) -> Result<(), TenantRejection> {
        self.exists()?;
        context.emit(TenantEvent::SiteCounted { site });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::hosting::TenantCommand::CountSite;
    use crate::hosting::TenantReply;
    use crate::hosting::tenant::stories::{created, site, site_counted};

    #[test]
    fn a_site_is_counted() {
        Given::<Tenant>::events([created(), site_counted(site())])
            .when(CountSite { site: site() })
            .then([site_counted(site())])
            .and_replies(&TenantReply { sites: 2, backups: 0, backup_bytes: 0 });
    }

    #[test]
    fn a_tenant_that_does_not_exist_counts_nothing() {
        Given::<Tenant>::nothing().when(CountSite { site: site() }).then_rejected("no-such-tenant");
    }
}
