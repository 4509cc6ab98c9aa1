//! Hosting: sites and backups from their creation to their end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use dormouse::demo;
use dormouse_config::HostingAdapter;
use dormouse_harness::{Answer, eventually};
use serde_json::{Value, json};

use super::{SOON, World, is, problem};

fn hosting() -> World {
    World::start(demo::app(), |config, _| config.modules.enabled = vec!["hosting".to_owned()])
}

/// Hosting by a program. `$D` is a directory of the test, `$ASK` what the program is asked for.
fn hosting_by(script: &str, timeout: Duration) -> World {
    let script = format!("D=$1; ASK=$(cat); {script}");
    World::start(demo::app(), |config, directory| {
        let directory = directory.path().display().to_string();
        config.hosting.adapter = HostingAdapter::Command;
        config.hosting.command = vec!["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned(), directory];
        config.hosting.command_timeout = timeout;
    })
}

/// The conditions of a script: `is provision && …`.
const IS: &str = r#"is() { case "$ASK" in *"\"action\":\"$1\""*) true;; *) false;; esac; };"#;

fn create(world: &World, domain: &str) -> Answer {
    world.post_as("ada", "/api/v1/sites", &json!({"domain": domain, "site_type": "wordpress"}))
}

/// Creates a site, and waits until it has this status.
fn site_with(world: &World, domain: &str, status: &str) -> String {
    let created = create(world, domain);
    assert_eq!(created.status, 201, "{created}");
    let id = created.json()["id"].as_str().unwrap().to_owned();
    is_site(world, &id, status);
    id
}

fn is_site(world: &World, id: &str, status: &str) -> Value {
    world.state(&format!("the site is {status}"), &format!("/v1/site/{id}"), |site| site["status"] == status)
}

fn is_backup(world: &World, id: &str, status: &str) -> Value {
    world.state(&format!("the backup is {status}"), &format!("/v1/backup/{id}"), |backup| backup["status"] == status)
}

fn back_up(world: &World, backup: &str, site: &str) {
    world.post(&format!("/v1/backup/{backup}/create-backup"), &json!({"site": site}));
}

#[test]
fn a_site_is_created_provisioned_backed_up_restored_and_deleted() {
    let world = hosting();
    world.post("/v1/tenant/ada/create-tenant", &json!({"name": "Ada", "contact": "ada@example.org"}));
    let created = create(&world, "Bücher.example");
    let site = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!((created.status, created.header("location")), (201, Some(&*format!("/v1/site/{site}"))));
    let shown = json!({"id": site, "tenant": "ada", "domain": "xn--bcher-kva.example", "site_type": "wordpress",
                       "status": "created"});
    assert_eq!(created.json(), shown);
    is_site(&world, &site, "provisioned");
    let root = world.directory.path().join("sites").join(&site);
    assert!(fs::read_to_string(root.join("index.html")).unwrap().contains("xn--bcher-kva.example"));

    fs::write(root.join("shop.php"), "<?php // mine").unwrap();
    back_up(&world, "b-1", &site);
    let backup = is_backup(&world, "b-1", "completed");
    let archive = world.directory.path().join("backups/b-1.tar.zst");
    assert_eq!(backup["size_bytes"], fs::metadata(&archive).unwrap().len());
    let restored = world.directory.path().join("restored");
    restore(&archive, &restored);
    assert_eq!(fs::read_to_string(restored.join("shop.php")).unwrap(), "<?php // mine");
    world.state("the tenant has counted both", "/v1/tenant/ada", |tenant| {
        (&tenant["sites"], &tenant["backups"]) == (&json!(1), &json!(1))
    });

    world.post(&format!("/v1/site/{site}/delete-site"), &json!({}));
    eventually("the folder is removed", SOON, || !root.exists());
    assert!(archive.exists(), "backups stay");
    world.state("the tenant has no site", "/v1/tenant/ada", |tenant| tenant["sites"] == 0);
    let deleted = |site: &Value| site["status"] == "deleted";
    world.document("the view shows the end", &format!("/v1/views/sites/{site}"), deleted);
    let audit = world.get("/v1/views/hosting-audit?filter[event]=SiteCreated").json();
    assert!(audit["items"][0].to_string().contains("\"subject\":\"ada\""), "{audit}");
    let again = site_with(&world, "bücher.example", "provisioned");
    assert_ne!(again, site, "the domain is free again");
}

fn restore(archive: &Path, to: &Path) {
    let decoder = zstd::Decoder::new(File::open(archive).unwrap()).unwrap();
    tar::Archive::new(decoder).unpack(to).unwrap();
}

#[test]
fn a_program_makes_sites_and_backups() {
    let script = format!(r#"{IS} printf '%s\n' "$ASK" >> "$D/asked"; is backup && echo copying && echo 4096; true"#);
    let world = hosting_by(&script, Duration::from_secs(20));
    let site = site_with(&world, "example.org", "provisioned");
    back_up(&world, "b-1", &site);
    assert_eq!(is_backup(&world, "b-1", "completed")["size_bytes"], 4096);
    world.post(&format!("/v1/site/{site}/delete-site"), &json!({}));
    let asked = eventually("the program was asked three times", SOON, || {
        let asked = fs::read_to_string(world.directory.path().join("asked")).unwrap_or_default();
        let asked: Vec<Value> = asked.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (asked.len() == 3).then_some(asked)
    });
    let actions: Vec<_> = asked.iter().map(|asked| asked["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["provision", "backup", "remove"]);
    for (field, value) in [("site", &*site), ("tenant", "ada"), ("domain", "example.org"), ("site_type", "wordpress")] {
        assert!(asked.iter().all(|asked| asked[field] == value), "{field}: {asked:?}");
    }
    assert_eq!((&asked[1]["backup"], &asked[0]["backup"]), (&json!("b-1"), &Value::Null));
}

#[test]
fn a_program_that_fails_for_good_ends_in_events() {
    let script = format!("{IS} is provision && exit 0; echo again >> \"$D/tries\"; echo the disk is full >&2; exit 3");
    let world = hosting_by(&script, Duration::from_secs(20));
    let site = site_with(&world, "example.org", "provisioned");
    back_up(&world, "b-1", &site);
    let reason = "the program failed: exit status: 3: the disk is full";
    assert_eq!(is_backup(&world, "b-1", "failed")["failed_because"], reason);
    let tries = fs::read_to_string(world.directory.path().join("tries")).unwrap();
    assert_eq!(tries.lines().count(), 3, "as queues.default.tries says");

    let world = hosting_by("echo no room >&2; exit 1", Duration::from_secs(20));
    let site = site_with(&world, "example.org", "failed");
    let failed = is_site(&world, &site, "failed");
    assert_eq!(failed["failed_because"], "the program failed: exit status: 1: no room");
    back_up(&world, "b-1", &site);
    is_backup(&world, "b-1", "failed");
}

#[test]
fn a_program_that_hangs_is_killed_and_ends_in_an_event() {
    let world = hosting_by("sleep 600", Duration::from_millis(200));
    let site = site_with(&world, "example.org", "failed");
    let reason = is_site(&world, &site, "failed")["failed_because"].as_str().unwrap().to_owned();
    assert_eq!(reason, "it took longer than 200ms (hosting.command_timeout)");
}

#[test]
fn a_site_that_is_deleted_while_it_is_made_is_undone() {
    let script = format!(
        "{IS} is remove && echo removed >> \"$D/removed\" && exit 0; \
         touch \"$D/began\"; until [ -e \"$D/go\" ]; do sleep 0.01; done"
    );
    let world = hosting_by(&script, Duration::from_secs(20));
    let path = |name: &str| world.directory.path().join(name);
    let site = site_with(&world, "example.org", "provisioning");
    eventually("the program runs", SOON, || path("began").exists());
    world.post(&format!("/v1/site/{site}/delete-site"), &json!({}));
    let removals = || fs::read_to_string(path("removed")).unwrap_or_default().lines().count();
    eventually("the site is removed", SOON, || removals() == 1);
    fs::write(path("go"), "").unwrap();
    eventually("what was made meanwhile is removed, too", SOON, || removals() == 2);
    assert_eq!(is_site(&world, &site, "deleted")["failed_because"], Value::Null);
}

#[test]
fn a_domain_belongs_to_one_site() {
    let world = hosting();
    let first = site_with(&world, "example.org", "provisioned");
    let second = site_with(&world, "EXAMPLE.org", "failed");
    assert_ne!(first, second);
    assert_eq!(fs::read_dir(world.directory.path().join("sites")).unwrap().count(), 1);
}

#[test]
fn a_repeated_key_makes_no_second_site() {
    let world = hosting();
    let send = |caller: &str, domain: &str| {
        let headers = [("dormouse-subject", caller), ("idempotency-key", "k-1")];
        let body = json!({"domain": domain, "site_type": "static"});
        world.client.post_with("/api/v1/sites", &headers, &body).unwrap()
    };
    let (first, again) = (send("ada", "example.org"), send("ada", "example.org"));
    assert_eq!((first.status, again.status), (201, 201), "{first} {again}");
    assert_eq!((first.json(), again.header("idempotency-replayed")), (again.json(), Some("true")));
    assert_eq!(problem(&send("ada", "other.example")), is(422, "key-reused"));
    assert_ne!(send("bob", "bob.example").json()["id"], first.json()["id"], "another caller's key is another key");
}

#[test]
fn a_site_that_is_none_is_refused() {
    let world = hosting();
    let refused = |body: Value| {
        let answer = world.post_as("ada", "/api/v1/sites", &body);
        (problem(&answer), answer.json()["field"].as_str().unwrap_or_default().to_owned())
    };
    let no_domain = json!({"domain": "localhost", "site_type": "static"});
    assert_eq!(refused(no_domain), (is(400, "invalid-body"), "domain".to_owned()));
    let no_type = json!({"domain": "example.org", "site_type": "gopher"});
    assert_eq!(refused(no_type), (is(400, "invalid-body"), "site_type".to_owned()));
    let nobody = world.client.post("/api/v1/sites", &json!({"domain": "example.org", "site_type": "static"})).unwrap();
    assert_eq!(problem(&nobody), is(401, "unauthenticated"));
}

#[test]
fn a_tenant_is_notified_by_e_mail() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let mails = mail_server(listener);
    let world = World::start(demo::app(), |config, _| {
        config.hosting.smtp_url = url.parse().unwrap();
        config.hosting.sender = "Hosting <hosting@example.org>".to_owned();
    });
    // A new listener begins with the events after its start.
    eventually("the listener runs", SOON, || {
        let health = world.get("/health/modules").json();
        health["modules"]["hosting"]["listeners"]["handler/notification"] == "running"
    });
    world.post("/v1/tenant/ada/create-tenant", &json!({"name": "Ada", "contact": "ada@example.org"}));
    let site = site_with(&world, "example.org", "provisioned");
    let mail = mails.recv_timeout(SOON).unwrap();
    for line in ["To: ada@example.org", "Subject: The site example.org is ready", "Message-ID: <notification-"] {
        assert!(mail.contains(line), "{mail}");
    }
    world.post(&format!("/v1/site/{site}/delete-site"), &json!({}));
    assert!(mails.recv_timeout(SOON).unwrap().contains("Subject: The site example.org was deleted"));
}

/// A mail server that accepts everything, and what it accepts.
fn mail_server(listener: TcpListener) -> mpsc::Receiver<String> {
    let (accepted, mails) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            stream.write_all(b"220 ready\r\n").unwrap();
            while let Some(line) = lines.next() {
                let answer = match line.get(..4).unwrap_or_default() {
                    "DATA" => {
                        stream.write_all(b"354 go on\r\n").unwrap();
                        let mail: Vec<String> = lines.by_ref().take_while(|line| line != ".").collect();
                        // The test may have ended.
                        let _ended = accepted.send(mail.join("\n"));
                        "250 taken\r\n"
                    }
                    "QUIT" => "221 bye\r\n",
                    _ => "250 ok\r\n",
                };
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    mails
}
