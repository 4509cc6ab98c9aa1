//! Modules that run, and modules that are left out.

use dormouse::{App, demo};
use serde_json::json;

use super::{SOON, World, is, problem};
use dormouse_harness::eventually;

#[test]
fn all_modules_run_by_default_and_health_shows_their_listeners() {
    let world = World::start(demo::app(), |_, _| {});
    let health = eventually("the listeners run", SOON, || {
        let health = world.get("/health/modules").json();
        let listeners = health["modules"]["hosting"]["listeners"].as_object().unwrap();
        let all_run = listeners.len() == 6 && listeners.values().all(|state| *state == "running");
        all_run.then_some(health)
    });
    assert_eq!(health["status"], "ok");
    let academy = json!({"enabled": true, "listeners": {"reactor/streaks": "running", "reactor/unlocking": "running"}});
    assert_eq!(health["modules"]["academy"], academy);
    assert_eq!(health["modules"]["commerce"], json!({"enabled": true, "listeners": {}}));
    let all = world.get("/health").json();
    assert_eq!((&all["eventStore"], &all["database"]), (&json!("ready"), &json!("connected")), "{all}");
}

#[test]
fn a_module_that_is_left_out_has_no_addresses_no_views_and_no_listeners() {
    let world = World::start(demo::app(), |config, _| {
        config.modules.enabled = vec!["commerce".to_owned(), "academy".to_owned()];
        // The configuration of a module that is left out does not prevent the start.
        config.listeners.paused = vec!["handler/notification".to_owned()];
    });
    let site = json!({"domain": "example.org", "site_type": "static"});
    assert_eq!(problem(&world.post_as("ada", "/api/v1/sites", &site)), is(404, "unknown-route"));
    let created = world.client.post("/v1/tenant/ada/create-tenant", &json!({})).unwrap();
    assert_eq!(problem(&created), is(404, "unknown-aggregate-type"));
    assert_eq!(problem(&world.get("/v1/views/sites")), is(404, "unknown-view"));
    let hosting = world.get("/health/modules").json()["modules"]["hosting"].clone();
    assert_eq!(hosting, json!({"enabled": false, "listeners": {}}));

    let api = world.get("/openapi.json").text();
    assert!(!api.contains("/api/v1/sites") && !api.contains("/v1/tenant/") && api.contains("/v1/course/"));
    let catalogue = world.get("/admin/catalogue").text();
    assert!(!catalogue.contains("SiteCreated") && catalogue.contains("OrderCreated"));
    world.post("/v1/inventory/tea/update-inventory", &json!({"change": 1, "reason": "counted"}));
}

#[test]
fn an_unknown_module_is_refused_with_the_nearest_one() {
    let refusal = |app: App, name: &str| {
        let started = World::try_start(app, |config, _| config.modules.enabled = vec![name.to_owned()]);
        started.err().unwrap().to_string()
    };
    assert_eq!(
        refusal(demo::app(), "hostin"),
        "modules.enabled names \"hostin\", which is no module; did you mean \"hosting\"? known: commerce, hosting, academy"
    );
    assert_eq!(
        refusal(App::new("empty"), "hosting"),
        "modules.enabled names \"hosting\", but the application has no modules"
    );
}
