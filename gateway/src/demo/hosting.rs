//! The module `hosting`: tenants with sites and backups.
//!
//! What happens outside is behind two ports ([`Provisioner`](ports::Provisioner), [`Backups`](ports::Backups)) with two
//! adapters: `directory` and `command`. The handlers call a port, bounded in time, and tell the aggregate the result,
//! a failure too. [`Outside`](outside::Outside) has what they share.
//!
//! The metrics of events and listeners need no listener of their own: whatever runs a listener counts it in the same step.

mod adapters;
mod audit_log;
mod create_site;
mod notification;
mod outside;
mod ports;
mod provision_site;
mod remove_site;
mod run_backup;
mod tenant_metrics;

use dormouse_aggregates::hosting::{Backup, DomainReservation, Site, Tenant};
use dormouse_views::hosting::{Backups, HostingAudit, Sites, Tenants};

use self::audit_log::AuditLog;
use self::notification::Notification;
use self::outside::Outside;
use self::provision_site::ProvisionSite;
use self::remove_site::RemoveSite;
use self::run_backup::RunBackup;
use self::tenant_metrics::TenantMetrics;
use crate::{App, Route};

pub(super) fn add(app: App) -> App {
    let app = app
        .aggregate::<Tenant>()
        .aggregate::<Site>()
        .aggregate::<DomainReservation>()
        .aggregate::<Backup>()
        .projection::<Sites>()
        .projection::<Tenants>()
        .projection::<Backups>()
        .projection::<HostingAudit>()
        .handler_with(|config| ProvisionSite(Outside::from_config(config)))
        .handler_with(|config| RemoveSite(Outside::from_config(config)))
        .handler_with(|config| RunBackup(Outside::from_config(config)))
        .handler(TenantMetrics)
        .handler(AuditLog)
        .handler_with_engine(Notification::new)
        .route(
            Route::post("/api/v1/sites", create_site::create_site)
                .summary("Creates a site of the caller")
                .permission(OWN_SITE)
                .creates(),
        );
    permit(app)
}

/// The permission to create a site for oneself.
const OWN_SITE: &str = "CreateOwnSite";

fn permit(app: App) -> App {
    const ADMIN: &[&str] = &["admin"];
    const TENANT: &[&str] = &["own:tenant", "admin"];
    let app = app.permit_command(OWN_SITE, &["tenant", "admin"]);
    // A backup has no owner before its site has answered.
    let app = app.permit_command("CreateBackup", ADMIN);
    let app = ["CreateTenant", "CreateSite", "DeleteSite"]
        .into_iter()
        .fold(app, |app, command| app.permit_command(command, TENANT));
    let app = ["GetSite", "GetAllSites", "GetBackup", "GetAllBackups", "tenant.state", "site.state", "backup.state"]
        .into_iter()
        .fold(app, |app, query| app.permit_query(query, TENANT));
    ["GetTenant", "GetAllTenants", "GetHostingAudit", "GetAllHostingAudit"]
        .into_iter()
        .fold(app, |app, query| app.permit_query(query, ADMIN))
}
