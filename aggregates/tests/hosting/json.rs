//! Commands as an HTTP client sends them: the fields in the body, the name in the path.

use dormouse_aggregates::hosting::{
    BackupCommand, DomainReservationCommand, NewDomain, Site, SiteCommand, SiteReply, SiteStatus, SiteType,
    TenantCommand, TenantId, TenantReply,
};
use dormouse_kernel::{decode_variant, kebab_case, variant_names};
use schemars::schema_for;
use serde_json::{Value, json};

#[test]
fn commands_are_reached_by_these_paths() {
    let paths = |names: &[&str]| names.iter().map(|name| kebab_case(name)).collect::<Vec<_>>();
    let tenant = ["create-tenant", "count-site", "uncount-site", "count-backup"];
    assert_eq!(paths(variant_names::<TenantCommand>().unwrap()), tenant);
    let site = [
        "create-site",
        "delete-site",
        "record-domain-reserved",
        "record-domain-refused",
        "record-provisioned",
        "record-provisioning-failed",
        "time-out-provisioning",
        "describe-to-backup",
    ];
    assert_eq!(paths(variant_names::<SiteCommand>().unwrap()), site);
    assert_eq!(paths(variant_names::<DomainReservationCommand>().unwrap()), ["reserve", "release"]);
    let backup =
        ["create-backup", "record-site", "record-site-refused", "record-completed", "record-failed", "time-out-backup"];
    assert_eq!(paths(variant_names::<BackupCommand>().unwrap()), backup);
}

#[test]
fn a_site_is_created_from_json() {
    for (name, site_type) in
        [("wordpress", SiteType::Wordpress), ("static", SiteType::Static), ("laravel", SiteType::Laravel)]
    {
        let body = json!({ "domain": "Bücher.example", "site_type": name, "tenant": "ada" });
        let command: SiteCommand = decode_variant("CreateSite", &body).unwrap();
        let domain = NewDomain::new("xn--bcher-kva.example").unwrap();
        assert_eq!(command, SiteCommand::CreateSite { domain, site_type, tenant: TenantId::new("ada").unwrap() });
    }
}

#[test]
fn errors_say_what_is_wrong_with_a_value() {
    let refused = |domain: &str| {
        let body = json!({ "domain": domain, "site_type": "static", "tenant": "ada" });
        site_error("CreateSite", &body)
    };
    assert_eq!(refused("localhost"), "the domain must have at least two labels, such as example.org");
    let address = "the domain must end with a label that begins with a letter, unlike an IP address, got \"1\"";
    assert_eq!(refused("127.0.0.1"), address);
    let body = json!({ "domain": "example.org", "site_type": "drupal", "tenant": "ada" });
    let unknown = "unknown variant `drupal`, expected one of `wordpress`, `static`, `laravel`";
    assert_eq!(site_error("CreateSite", &body), unknown);
    let body = json!({ "domain": "example.org", "site_type": "static", "tenant": "a/b" });
    assert_eq!(site_error("CreateSite", &body), "the tenant id contains a slash");
    let duration = "the duration in milliseconds must be between 0 and 9007199254740991, got -1";
    assert_eq!(site_error("RecordProvisioned", &json!({ "duration_ms": -1 })), duration);
    let body = json!({ "domain": "example.org", "type": "static", "tenant": "ada" });
    assert!(site_error("CreateSite", &body).starts_with("unknown field `type`"));
    let body = json!({ "name": "Ada", "contact": "ada" });
    let error = decode_variant::<TenantCommand, _>("CreateTenant", &body).unwrap_err().to_string();
    assert_eq!(error, "the e-mail address must have one '@'");
}

#[test]
fn replies_and_states_are_plain_json() {
    let reply = SiteReply { status: SiteStatus::Provisioning };
    assert_eq!(serde_json::to_value(reply).unwrap(), json!({ "status": "provisioning" }));
    let reply = TenantReply { sites: 2, backups: 1, backup_bytes: 5_000 };
    assert_eq!(serde_json::to_value(reply).unwrap(), json!({ "sites": 2, "backups": 1, "backup_bytes": 5_000 }));
    let expected = json!({
        "status": null,
        "tenant": null,
        "domain": null,
        "site_type": null,
        "has_domain": false,
        "failed_because": null,
    });
    assert_eq!(serde_json::to_value(Site::default()).unwrap(), expected);
}

#[test]
fn the_schema_states_the_bounds() {
    let schema = serde_json::to_value(schema_for!(SiteCommand)).unwrap();
    let bounds = |name: &str, keys: &[&str]| {
        let value = &schema["$defs"][name];
        keys.iter().map(|key| value[key].clone()).collect::<Vec<_>>()
    };
    let domain = [json!("string"), json!("idn-hostname"), json!(512)];
    assert_eq!(bounds("NewDomain", &["type", "format", "maxLength"]), domain);
    assert_eq!(bounds("Domain", &["type", "maxLength"]), [json!("string"), json!(128)]);
    assert_eq!(bounds("TenantId", &["type", "maxLength"]), [json!("string"), json!(128)]);
    let duration = [json!("integer"), json!(9_007_199_254_740_991_u64)];
    assert_eq!(bounds("Milliseconds", &["type", "maximum"]), duration);
}

fn site_error(name: &str, body: &Value) -> String {
    decode_variant::<SiteCommand, _>(name, body).expect_err("refused").to_string()
}
