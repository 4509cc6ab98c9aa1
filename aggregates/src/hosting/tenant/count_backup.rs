//! `CountBackup`: counts a backup that was completed, and its bytes.

use dormouse_kernel::Context;

use super::{Tenant, TenantEvent, TenantRejection};
use crate::hosting::{BackupId, ByteSize};

impl Tenant {
    pub(super) fn count_backup(
        &self,
        backup: BackupId,
        size_bytes: ByteSize,
        context: &mut Context<Self>,
    ) -> Result<(), TenantRejection> {
        self.exists()?;
        context.emit(TenantEvent::BackupCounted { backup, size_bytes });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::hosting::TenantReply;
    use crate::hosting::tenant::stories::{backup_counted, count_backup, created};

    #[test]
    fn a_backup_is_counted_with_its_bytes() {
        Given::<Tenant>::events([created(), backup_counted(100)])
            .when(count_backup(20))
            .then([backup_counted(20)])
            .and_replies(&TenantReply { sites: 0, backups: 2, backup_bytes: 120 });
    }

    #[test]
    fn the_sum_of_the_bytes_stays_at_its_bound() {
        let largest = 9_007_199_254_740_991;
        let past = std::iter::once(created()).chain((0..2_050).map(|_| backup_counted(largest)));
        assert_eq!(Given::<Tenant>::events(past).state().backup_bytes, u64::MAX);
    }

    #[test]
    fn a_tenant_that_does_not_exist_counts_nothing() {
        Given::<Tenant>::nothing().when(count_backup(20)).then_rejected("no-such-tenant");
    }
}
