//! Jobs of the shipped module `hosting`, in the real binary: its threads of domain code have neither network nor processes.

use std::fs;

use dormouse_harness::{Server, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SOON, server_in};

fn create_site(server: &Server) -> String {
    let site = json!({"domain": "example.org", "site_type": "static"});
    let created = server.client().post_with("/api/v1/sites", &[("dormouse-subject", "ada")], &site).unwrap();
    assert_eq!(created.status, 201, "{created}");
    created.json()["id"].as_str().unwrap().to_owned()
}

fn is_provisioned(server: &Server, site: &str) {
    let client = server.client();
    let status = || -> Option<Value> {
        let answer = client.get(&format!("/v1/site/{site}")).ok()?;
        (answer.status == 200).then(|| answer.json()["state"]["status"].clone())
    };
    eventually("the site is provisioned", SOON, || status().is_some_and(|status| status == "provisioned"));
}

#[test]
fn a_site_is_made_in_the_folder_of_the_server() {
    let directory = TempDir::new().unwrap();
    let server = server_in(directory.path()).start();
    let site = create_site(&server);
    is_provisioned(&server, &site);
    let page = directory.path().join("data/sites").join(site).join("index.html");
    assert!(fs::read_to_string(page).unwrap().contains("example.org"));
}

#[test]
fn a_job_that_was_killed_half_way_is_done_again_under_the_same_key() {
    let directory = TempDir::new().unwrap();
    // The first call ends only with the test, the second one at once.
    let script =
        "cat >> asked; echo >> asked; [ -e began ] && exit 0; touch began; while [ -e began ]; do sleep 0.1; done";
    let command = format!("hosting.command={:?}", ["sh", "-c", script]);
    let mut server = server_in(directory.path()).set("hosting.adapter=command").set(command).start();
    let site = create_site(&server);
    eventually("the program runs", SOON, || directory.path().join("began").exists());
    server.kill();
    server.restart();
    is_provisioned(&server, &site);
    let asked = fs::read_to_string(directory.path().join("asked")).unwrap();
    let keys: Vec<Value> =
        asked.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].clone()).collect();
    assert_eq!((keys.len(), &keys[0]), (2, &keys[1]));
    let end = server.client().get(&format!("/v1/site/{site}/events")).unwrap().text();
    assert_eq!(end.matches("SiteProvisioned").count(), 1, "{end}");
}
