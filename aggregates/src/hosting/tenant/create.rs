//! `CreateTenant`: creates a tenant once.

use dormouse_kernel::Context;

use super::{Tenant, TenantEvent, TenantRejection};
use crate::hosting::{Email, Text};

impl Tenant {
    pub(super) fn create(
        &self,
        name: Text,
        contact: Email,
        context: &mut Context<Self>,
    ) -> Result<(), TenantRejection> {
        if self.name.is_some() {
            return Err(TenantRejection::AlreadyCreated);
        }
        context.emit(TenantEvent::TenantCreated { name, contact: contact.into() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::hosting::tenant::stories::{create, created, site_counted};
    use crate::hosting::{SiteId, TenantReply};

    #[test]
    fn a_tenant_begins_without_sites() {
        let after = Given::<Tenant>::nothing().when(create()).then([created()]).and_replies(&TenantReply {
            sites: 0,
            backups: 0,
            backup_bytes: 0,
        });
        assert_eq!(after.state().name.as_ref().map(Text::as_str), Some("Ada's Teas"));
        assert_eq!(after.state().contact, Some(Email::new("ada@example.org").unwrap().into()));
    }

    #[test]
    fn a_tenant_is_created_once() {
        for past in [vec![created()], vec![created(), site_counted(SiteId::new("s-1").unwrap())]] {
            Given::<Tenant>::events(past).when(create()).then_rejected("tenant-already-created");
        }
    }
}
