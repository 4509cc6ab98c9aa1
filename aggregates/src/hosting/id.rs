//! The ids of the aggregates, as other aggregates know them.

id_value! {
    /// The id of a tenant: 1 to 128 characters, none of them a slash or a control character.
    TenantId, "the tenant id"
}

id_value! {
    /// The id of a site: 1 to 128 characters, none of them a slash or a control character.
    SiteId, "the site id"
}

id_value! {
    /// The id of a backup: 1 to 128 characters, none of them a slash or a control character.
    BackupId, "the backup id"
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::AggregateId;

    use super::*;

    #[test]
    fn an_id_is_an_aggregate_id() {
        let id = AggregateId::new("s-1").unwrap();
        assert_eq!(SiteId::from(&id), SiteId::new("s-1").unwrap());
        assert_eq!(TenantId::new("a/b").unwrap_err().to_string(), "the tenant id contains a slash");
        assert_eq!(BackupId::new("").unwrap_err().to_string(), "the backup id is empty");
    }
}
