//! `UncountSite`: counts a site that was deleted.

use dormouse_kernel::Context;

use super::{Tenant, TenantEvent, TenantRejection};
use crate::hosting::SiteId;

impl Tenant {
    pub(super) fn uncount_site(&self, site: SiteId, context: &mut Context<Self>) -> Result<(), TenantRejection> {
        self.exists()?;
        context.emit(TenantEvent::SiteUncounted { site });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::hosting::TenantCommand::UncountSite;
    use crate::hosting::TenantReply;
    use crate::hosting::tenant::stories::{created, site, site_counted, site_uncounted};

    #[test]
    fn a_deleted_site_is_subtracted_also_before_its_creation_is_counted() {
        Given::<Tenant>::events([created(), site_counted(site())])
            .when(UncountSite { site: site() })
            .then([site_uncounted(site())])
            .and_replies(&TenantReply { sites: 0, backups: 0, backup_bytes: 0 });
        let early = Given::<Tenant>::events([created()]).when(UncountSite { site: site() });
        assert_eq!(early.state().sites, -1);
        assert_eq!(Given::<Tenant>::events([created(), site_uncounted(site()), site_counted(site())]).state().sites, 0);
    }

    #[test]
    fn a_tenant_that_does_not_exist_counts_nothing() {
        Given::<Tenant>::nothing().when(UncountSite { site: site() }).then_rejected("no-such-tenant");
    }
}
