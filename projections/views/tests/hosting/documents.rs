//! The interface of the views: their documents in JSON, the schemas, the declared fields, the names of the queries.

use dormouse_views::hosting::{Backups, HostingAudit, Sites, Tenants};
use serde_json::json;

use crate::interface::{is_described, is_pinned, paths, queries};

#[test]
fn a_site_looks_like_this() {
    is_pinned::<Sites>(&json!({
        "site": "s-1",
        "tenant": "ada",
        "status": "provisioned",
        "domain": "xn--bcher-kva.example",
        "site_type": "wordpress",
        "failed_because": null,
        "provisioning_ms": 1200,
        "created_at": "2026-11-21T12:23:45.000000Z",
        "provisioned_at": "2026-11-21T12:23:46.500000Z",
        "deleted_at": null,
        "updated_at": "2026-11-21T12:23:46.500000Z",
    }));
}

#[test]
fn the_totals_of_a_tenant_look_like_this() {
    is_pinned::<Tenants>(&json!({
        "tenant": "ada",
        "name": "Ada's Teas",
        "sites": 2,
        "backups": 3,
        "backup_bytes": 15000,
        "created_at": "2026-11-21T12:23:45.000000Z",
        "updated_at": "2026-11-21T12:23:46.500000Z",
    }));
}

#[test]
fn a_backup_looks_like_this() {
    is_pinned::<Backups>(&json!({
        "backup": "b-1",
        "site": "s-1",
        "tenant": "ada",
        "domain": "example.org",
        "status": "failed",
        "size_bytes": null,
        "duration_ms": null,
        "failed_because": "the disk is full",
        "created_at": "2026-11-21T12:23:45.000000Z",
        "updated_at": "2026-11-21T12:23:46.500000Z",
    }));
}

#[test]
fn an_entry_of_the_audit_log_looks_like_this() {
    is_pinned::<HostingAudit>(&json!({
        "type": "site",
        "id": "s-1",
        "version": 3,
        "event": "SiteProvisioned",
        "at": "2026-11-21T12:23:45.000000Z",
        "subject": "ada@example.org",
        "tenant": "ada",
    }));
}

#[test]
fn queries_have_these_names() {
    assert_eq!(queries::<Sites>(), ["sites", "GetSite", "GetAllSites"]);
    assert_eq!(queries::<Tenants>(), ["tenants", "GetTenant", "GetAllTenants"]);
    assert_eq!(queries::<Backups>(), ["backups", "GetBackup", "GetAllBackups"]);
    assert_eq!(queries::<HostingAudit>(), ["hosting-audit", "GetHostingAudit", "GetAllHostingAudit"]);
}

#[test]
fn lists_are_filtered_and_sorted_by_these_fields() {
    assert_eq!(paths::<Sites>(), ["tenant", "status", "domain", "site_type", "created_at", "updated_at"]);
    assert_eq!(paths::<Tenants>(), ["name", "sites", "backups", "backup_bytes", "updated_at"]);
    let backups = ["site", "tenant", "status", "size_bytes", "duration_ms", "created_at", "updated_at"];
    assert_eq!(paths::<Backups>(), backups);
    assert_eq!(paths::<HostingAudit>(), ["type", "id", "event", "at", "subject", "tenant"]);
}

#[test]
fn the_schema_of_every_document_describes_it() {
    is_described::<Sites>();
    is_described::<Tenants>();
    is_described::<Backups>();
    is_described::<HostingAudit>();
}
