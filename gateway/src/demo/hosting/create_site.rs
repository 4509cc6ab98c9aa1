//! `POST /api/v1/sites`: creates a site of the caller.

use dormouse_aggregates::hosting::{Domain, NewDomain, Site, SiteCommand, SiteStatus, SiteType, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{RouteAnswer, RouteError, RouteRequest};

/// The site that is to be created.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct NewSite {
    /// The domain.
    domain: NewDomain,
    /// What is installed on the site.
    site_type: SiteType,
}

/// A site that was created. It is provisioned afterwards.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CreatedSite {
    /// The id of the site.
    id: String,
    /// The tenant who owns the site.
    tenant: TenantId,
    /// The domain, in its ASCII form.
    domain: Domain,
    /// What is installed on the site.
    site_type: SiteType,
    /// The status when the site was created.
    status: SiteStatus,
}

/// The tenant is the caller. The id follows from the caller and the `Idempotency-Key`, so that a repeated request finds
/// the site that the first one made.
pub(super) async fn create_site(request: RouteRequest<NewSite>) -> Result<RouteAnswer<CreatedSite>, RouteError> {
    let caller = request.require_caller()?;
    let tenant = TenantId::new(caller).map_err(|error| RouteError::rejected("invalid-tenant-id", error.to_string()))?;
    let id = site_id(caller, request.key());
    let NewSite { domain, site_type } = request.body();
    let (domain, site_type) = (domain.clone(), *site_type);
    let command = SiteCommand::CreateSite { domain: domain.clone(), site_type, tenant: tenant.clone() };
    let outcome = request.send::<Site>(&id, command).await?;
    let location = format!("/v1/site/{id}");
    let site = CreatedSite { id, tenant, domain: domain.into(), site_type, status: outcome.reply.status };
    Ok(RouteAnswer::new(site).at(location).after(&outcome))
}

fn site_id(caller: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => {
            // A caller is visible ASCII, so the separator is in no caller.
            let hash = blake3::hash(format!("{caller}\0{key}").as_bytes());
            hash.to_hex()[..32].to_owned()
        }
        None => Uuid::new_v4().simple().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_caller_and_key_are_the_same_site() {
        let id = site_id("ada", Some("k-1"));
        assert_eq!(site_id("ada", Some("k-1")), id);
        for (caller, key) in [("bob", Some("k-1")), ("ada", Some("k-2")), ("ada", None)] {
            assert_ne!(site_id(caller, key), id, "{caller} {key:?}");
        }
        assert_ne!(site_id("ada", None), site_id("ada", None));
    }
}
